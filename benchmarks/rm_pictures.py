"""Images, prompts and random backbones on which the speed of reward models is measured."""

import json
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from rewardkit.data import PreferenceRecord
from rewardkit.images import save_image

SMALL: dict[str, Any] = {
    "embed_dim": 256,
    "vision_cfg": {"image_size": 224, "layers": 6, "width": 256, "head_width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 4, "layers": 6},
}
"""A CLIP of 24 million weights, most of them token embeddings."""

LIGHT: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 224, "layers": 3, "width": 128, "head_width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 2, "layers": 3},
}
"""A CLIP that takes a fraction of the time of reading a file, like large models on a GPU."""

BASE: dict[str, Any] = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12},
}
"""open_clip's ViT-B/32, 151 million weights."""

BACKBONES = {"light": LIGHT, "small": SMALL, "ViT-B/32": BASE}

WORDS = [
    "red",
    "blue",
    "green",
    "small",
    "large",
    "round",
    "star",
    "circle",
    "square",
    "mountain",
    "river",
    "city",
    "night",
    "morning",
    "paper",
    "glass",
]


def prompt(number: int) -> str:
    """A prompt of 14 words, different for every number."""
    picked = [WORDS[(number * step + step) % len(WORDS)] for step in range(1, 9)]
    return f"a photo of a {' '.join(picked)}, number {number}"


def pictures(folder: Path, count: int, size: int = 512) -> list[Path]:
    """Write PNG files of smooth colours with some noise, as large in bytes as real images of that size."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    files = [folder / f"{index:03d}.png" for index in range(count)]
    for file in files:
        coarse = torch.rand(1, 3, 32, 32, generator=generator)
        smooth = F.interpolate(coarse, size=(size, size), mode="bicubic")[0]
        save_image((smooth + 0.02 * torch.randn(smooth.shape, generator=generator)).clamp(0, 1), file)
    return files


def random_pairs(folder: Path, count: int, axis: str, size: int = 512) -> list[PreferenceRecord]:
    """Pairs of such images whose first one is better, each with its own prompt."""
    files = pictures(folder, 2 * count, size)
    return [
        PreferenceRecord(prompt(index), files[2 * index], files[2 * index + 1], {axis: 1.0}, prompt(index))
        for index in range(count)
    ]


def write_json(value: object, file: Path) -> Path:
    file.write_text(json.dumps(value), encoding="utf-8")
    return file
