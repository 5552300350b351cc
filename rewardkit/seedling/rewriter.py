"""The small language model of the built-in prompt rewriter."""

from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM


def build_rewriter(tokenizer: PreTrainedTokenizerFast, width: int = 160, layers: int = 3) -> Qwen2ForCausalLM:
    """A decoder with random weights, about a million by default."""
    return Qwen2ForCausalLM(
        Qwen2Config(
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
    )
