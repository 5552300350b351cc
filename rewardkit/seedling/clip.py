"""Seedling's CLIP: its configuration, its tokenizer's end token, and writing it as an open_clip folder."""

from pathlib import Path
from typing import Any

import torch
from open_clip import CLIP
from safetensors.torch import save_file
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from rewardkit.io.files import write_json

MODEL_CFG: dict[str, Any] = {
    "embed_dim": 96,
    "vision_cfg": {"image_size": 64, "patch_size": 8, "width": 128, "head_width": 32, "layers": 6},
    "text_cfg": {
        **{"context_length": 48, "vocab_size": 768, "width": 128, "heads": 4, "layers": 3},
        **{"pool_type": "eos", "pad_id": 0, "eos_id": 1, "hf_tokenizer_name": "beside this file"},
    },
}
PREPROCESS_CFG = {
    **{"size": 64, "mode": "RGB", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    **{"interpolation": "bicubic", "resize_mode": "squash"},
}


def with_end(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Let the tokenizer append the end token, at which CLIP's text tower pools the prompt."""
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    return tokenizer


def save_clip(clip: CLIP, folder: Path) -> None:
    """Write weights (bfloat16, as shipped) and configuration next to the tokenizer, in open_clip's layout."""
    config = {"model_cfg": MODEL_CFG, "preprocess_cfg": PREPROCESS_CFG}
    write_json(folder / "open_clip_config.json", config)
    state = {name: value.to(torch.bfloat16).contiguous() for name, value in clip.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
