"""A tiny CLIP with random weights, and pairs whose better image is easy to see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch

from rewardkit.data import PreferenceRecord, write_pairs
from rewardkit.encoders import ClipEncoder
from rewardkit.images import to_pil
from rewardkit.images.preprocess import Preprocess

MODEL: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 4},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def encoder() -> ClipEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clip = open_clip.CLIP(**MODEL)
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    return ClipEncoder(clip, tokenizer, MODEL, Preprocess((16, 16), (0.5,) * 3, (0.25,) * 3))


@pytest.fixture
def encoder_folder(encoder: ClipEncoder, tmp_path: Path) -> str:
    encoder.save(tmp_path / "clip")
    return str(tmp_path / "clip")


MakePairs = Callable[..., Path]


@pytest.fixture
def make_pairs(tmp_path: Path) -> MakePairs:
    """Write pairs of a bright and a dark image; the bright one is better on every axis."""

    def make(count: int = 60, axes: tuple[str, ...] = ("alignment", "aesthetic", "text"), seed: int = 0) -> Path:
        generator = torch.Generator().manual_seed(seed)
        folder = tmp_path / f"pairs{seed}"
        folder.mkdir()
        records = []
        for index in range(count):
            level = torch.rand(2, generator=generator)
            paths = folder / f"{index}a.png", folder / f"{index}b.png"
            for value, path in zip(level, paths, strict=True):
                grain = torch.rand(3, 16, 16, generator=generator)
                to_pil(0.8 * value + 0.2 * grain).save(path)
            label = float(level[0] > level[1])
            prompt = f'a poster {index} with the text "{chr(65 + index % 26)}{chr(65 + index % 7)}"'
            records.append(PreferenceRecord(prompt, *paths, dict.fromkeys(axes, label), prompt))
        write_pairs(folder / "pairs.jsonl", records)
        return folder / "pairs.jsonl"

    return make
