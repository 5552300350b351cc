"""Where and in how much memory a run computes changes nothing of what it learns."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from refl.command import train
from refl.config import ReflConfig
from refl.session import begin
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.images import checks
from rewardkit.rewards import results
from rewardkit.rewards.loaded import loaded
from rewardkit.rewards.panel import Panel
from rewardkit.seedling.tiny import tiny_pipeline


@pytest.fixture(scope="module", params=["sd3", "seedling"])
def base(request: pytest.FixtureRequest, folder: Path) -> Path:
    if request.param == "seedling" and not (folder / "seedling").exists():
        tiny_pipeline().save_pretrained(folder / "seedling")
    return folder / {"sd3": "base", "seedling": "seedling"}[request.param]


@pytest.fixture
def config(base: Path, folder: Path, tmp_path: Path) -> ReflConfig:
    return ReflConfig(
        prompts=folder / "prompts.txt",
        base=str(base),
        out=tmp_path / "run",
        rewards=("colourfulness",),
        updates=2,
        batch_size=2,
        steps=3,
        rank=2,
        kl=0.1,
        warmup=1,
        lr=1e-3,
        grid_every=0,
        ema=0.0,
        objective="draft-k",
    )


@pytest.mark.usefixtures("few")
def test_saving_memory_learns_the_same(config: ReflConfig, tmp_path: Path) -> None:
    train(config)
    train(replace(config, out=tmp_path / "saving", save_memory="all"))
    plain, saving = (load_file(tmp_path / name / "lora" / WEIGHTS_NAME) for name in ("run", "saving"))
    for name in plain:
        torch.testing.assert_close(saving[name], plain[name], rtol=0, atol=2e-5)
    assert any(value.abs().max() > 1e-3 for name, value in plain.items() if "lora_B" in name)


class Placed:
    """Redness, and where it was asked."""

    name = "placed"
    axis = "aesthetic"
    differentiable = True

    def __init__(self) -> None:
        self.seen: list[torch.device] = []

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        self.seen.append(images.device)
        return images[:, 0].mean((1, 2))


def test_rewards_run_where_they_are_told_and_scores_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors without data may be of a device that is not there; only the checks of values need data."""
    reward, there = loaded(Placed()), torch.device("cuda", 1)
    reward.score(torch.rand(2, 3, 4, 4), ["a", "b"])  # the first call also compares the images
    monkeypatch.setattr(checks, "check_range", lambda *_: None)
    monkeypatch.setattr(results, "check_finite", lambda *_: None)
    with FakeTensorMode():
        images = torch.rand(2, 3, 4, 4, requires_grad=True)
        scores = Panel([reward], device=there).raw(images, ["a", "b"])["placed"]
        assert scores.grad_fn is not None
    assert reward.source.seen[1:] == [there]
    assert scores.device == images.device


@pytest.mark.gpu
def test_the_gradient_comes_back_from_another_device(config: ReflConfig, tmp_path: Path) -> None:
    train(config)
    train(replace(config, out=tmp_path / "apart", device="cuda", reward_device="cpu"))
    plain, apart = (load_file(tmp_path / name / "lora" / WEIGHTS_NAME) for name in ("run", "apart"))
    for name in plain:
        torch.testing.assert_close(apart[name], plain[name], rtol=0, atol=1e-3)


@pytest.mark.usefixtures("few")
def test_a_run_puts_its_rewards_on_their_device(config: ReflConfig) -> None:
    session = begin(replace(config, reward_device="cpu:0", judges=("posters-aesthetic",)))
    assert session.panel.device == torch.device("cpu", 0)
    assert session.monitor is not None
    assert session.monitor.subject.judges.device == torch.device("cpu", 0)
    assert begin(replace(config, out=config.out / "one")).panel.device == torch.device("cpu")
