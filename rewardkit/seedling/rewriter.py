"""The small language model behind the built-in prompt rewriter."""

from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from rewardkit.seedling.text import decoder_config


def build_rewriter(tokenizer: PreTrainedTokenizerFast, width: int = 160, layers: int = 3) -> Qwen2ForCausalLM:
    """A decoder with random weights, about a million of them by default."""
    return Qwen2ForCausalLM(decoder_config(tokenizer, width, layers))
