"""Seedling's text encoders: a small LLM over the whole prompt and a ByT5-type encoder over the quoted text."""

from collections.abc import Iterable, Iterator

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast, Qwen2Config, Qwen2Model, T5Config, T5EncoderModel

from rewardkit.posters.captions import LANGUAGES, long_caption, short_caption, shorten
from rewardkit.posters.scene import random_scene

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' + message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
SPECIAL = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>")


def sample_captions(count: int, seed: int = 0) -> Iterator[str]:
    """Sample captions of the posters world in all its languages, long and short."""
    generator = torch.Generator().manual_seed(seed)
    for i in range(count):
        scene = random_scene(generator)
        language = LANGUAGES[i % len(LANGUAGES)]
        yield long_caption(scene, language, generator)
        yield short_caption(shorten(scene, generator), language)


def build_tokenizer(captions: Iterable[str], vocab_size: int = 768) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE on captions; other text falls back to bytes, so no token is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|end|>")
    fast.chat_template = CHAT_TEMPLATE
    return fast


def decoder_config(tokenizer: PreTrainedTokenizerFast, width: int, layers: int) -> Qwen2Config:
    """The shape of a small decoder LLM over this tokenizer."""
    return Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )


def build_text_encoder(tokenizer: PreTrainedTokenizerFast, width: int = 128, layers: int = 3) -> Qwen2Model:
    """A small decoder LLM with random weights; its last hidden states condition the transformer."""
    return Qwen2Model(decoder_config(tokenizer, width, layers))


def build_glyph_encoder(width: int = 128, layers: int = 2) -> T5EncoderModel:
    """A small ByT5-type encoder (arXiv:2105.13626) with random weights for the bytes of the quoted text."""
    return T5EncoderModel(
        T5Config(
            vocab_size=384,
            d_model=width,
            d_kv=width // 4,
            d_ff=2 * width,
            num_layers=layers,
            num_heads=4,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=False,
            use_cache=False,
        )
    )


def build_glyph_tokenizer() -> ByT5Tokenizer:
    """A byte-level tokenizer, which needs no file."""
    return ByT5Tokenizer()
