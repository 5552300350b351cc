"""A small Qwen2-type chat model with random weights and a byte-level tokenizer, built in memory."""

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from pe.rewriter import Rewriter
from rewardkit.seedling.text import build_tokenizer, sample_captions


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer(sample_captions(60), vocab_size=400)


@pytest.fixture
def rewriter(tokenizer: PreTrainedTokenizerFast) -> Rewriter:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return Rewriter(Qwen2ForCausalLM(config), tokenizer)


@pytest.fixture
def folder(rewriter: Rewriter, tmp_path: Path) -> Path:
    """The rewriter as a folder of plain transformers."""
    path = tmp_path / "tiny"
    rewriter.model.save_pretrained(path)
    rewriter.tokenizer.save_pretrained(path)
    return path
