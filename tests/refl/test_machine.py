"""Where and in how much memory a run computes changes nothing of what it learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from refl.config import ReflConfig
from refl.train import train
from rewardkit.lora import WEIGHTS_NAME
from rewardkit.seedling.tiny import tiny_pipeline


@pytest.fixture(scope="module", params=["sd3", "seedling"])
def base(request: pytest.FixtureRequest, folder: Path) -> Path:
    if request.param == "seedling" and not (folder / "seedling").exists():
        tiny_pipeline().save_pretrained(folder / "seedling")
    return folder / {"sd3": "base", "seedling": "seedling"}[request.param]


@pytest.fixture
def config(base: Path, folder: Path, tmp_path: Path) -> ReflConfig:
    return ReflConfig(
        prompts=folder / "prompts.txt", base=str(base), out=tmp_path / "run", rewards=("colourfulness",), steps=2,
        batch_size=2, sampling_steps=3, rank=2, kl=0.1, warmup=1, lr=1e-3, grid_every=0, ema=0.0, objective="draft-k",
    )  # fmt: skip


def test_saving_memory_learns_the_same(config: ReflConfig, tmp_path: Path) -> None:
    train(config)
    train(replace(config, out=tmp_path / "saving", save_memory="all"))
    plain, saving = (load_file(tmp_path / name / "lora" / WEIGHTS_NAME) for name in ("run", "saving"))
    for name in plain:
        torch.testing.assert_close(saving[name], plain[name], rtol=0, atol=2e-5)
    assert any(value.abs().max() > 1e-3 for name, value in plain.items() if "lora_B" in name)
