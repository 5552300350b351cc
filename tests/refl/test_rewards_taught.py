"""Before a run trains, a reward that it descends has shown a gradient; what taught nothing is said at the end."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from refl.command import train
from refl.config import ReflConfig
from refl.unlearnt import unlearnt
from rewardkit.errors import UserError
from rewardkit.rewards.gradients import reached
from rewardkit.rewards.panel import Panel, Part


class Mine:
    """A differentiable reward that is sound; the others break it."""

    name, axis, differentiable = "mine", "aesthetic", True

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return images[:, 0].mean((1, 2))


class Detached(Mine):
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return super().score(images, prompts).detach()


class Rounded(Mine):
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return super().score(images, prompts).mul(1e5).round()


class Elsewhere(Mine):
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return super().score(images, prompts).detach() * torch.ones((), requires_grad=True)


class Root(Mine):
    """Finite everywhere, and no slope at zero."""

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return (images - images).square().sum((1, 2, 3)).sqrt() + super().score(images, prompts)


class Constant(Mine):
    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return images.flatten(1).sum(1) * 0 + 1


@pytest.fixture
def config(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReflConfig:
    monkeypatch.setitem(sys.modules, "mine", sys.modules[__name__])
    return ReflConfig(
        prompts=folder / "prompts.txt",
        base=str(folder / "base"),
        out=tmp_path / "run",
        rewards=("mine:Mine",),
        updates=2,
        batch_size=2,
        steps=2,
        rank=2,
        grid_every=0,
        tracker="none",
        group=2,
    )


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("reward", "says"),
    [
        ("Detached", "'mine' claims to be differentiable, but its scores come without one"),
        ("Elsewhere", "'mine' claims to be differentiable, but its gradient does not reach the images"),
        ("Rounded", "the gradient of reward 'mine' is zero at all 4 images of the base"),
        ("Constant", "the gradient of reward 'mine' is zero at all 4 images of the base"),
        ("Root", "the gradient of reward 'mine' at the images is not finite"),
    ],
)
def test_a_promised_gradient_is_looked_at_before_training(config: ReflConfig, reward: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        train(replace(config, rewards=(f"mine:{reward}",)))
    assert not (config.out / "metrics.jsonl").exists()


@pytest.mark.usefixtures("few")
def test_an_objective_that_compares_asks_for_no_gradient(
    config: ReflConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    train(replace(config, objective="nft", rewards=("mine:Rounded",)))
    said = capsys.readouterr().out
    assert "LoRA written" in said
    assert "nothing" not in said


@pytest.mark.usefixtures("few")
def test_a_constant_reward_is_said_before_and_after(config: ReflConfig, capsys: pytest.CaptureFixture[str]) -> None:
    train(replace(config, objective="nft", rewards=("mine:Constant", "colourfulness")))
    said = capsys.readouterr().out
    early, late = said.split("nothing was learnt from reward 'mine': it gave every image the same score")
    assert "reward 'mine' gives 1 to all 4 images of the base" in early
    assert "LoRA written" in late
    assert "'colourfulness'" not in said


@pytest.mark.usefixtures("few")
def test_a_run_past_all_targets_says_that_it_learnt_nothing(
    config: ReflConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    train(replace(config, targets={"mine": -100.0}))
    before, _ = capsys.readouterr().out.split("LoRA written")
    assert "nothing was learnt: the gradient was zero at every update" in before


def test_only_scores_that_apply_are_looked_at() -> None:
    """The text axis says nothing about a prompt without quotes."""
    text = Mine()
    text.name, text.axis = "text", "text"
    panel, images = Panel([Mine(), text]), torch.rand(2, 3, 4, 4)
    assert reached(panel, images, ["a", "b"]) == {"mine"}
    assert reached(panel, images, ["a", 'a "B"']) == {"mine", "text"}
    with torch.no_grad():
        assert reached(panel, images, ["a", "b"]) == {"mine"}


def test_what_moved_later_is_not_called_constant() -> None:
    panel = Panel([Mine()], {"mine": Part(mean=1.0, std=1e-6)})
    rows = [{"reward/mine": 1.0, "grad_norm": 0.5}, {"grad_norm": 0.1}]
    assert len(unlearnt(panel, rows)) == 1
    assert unlearnt(panel, [*rows, {"reward/mine": 1.5, "grad_norm": 0.5}]) == []
    assert unlearnt(Panel([Mine()]), []) == []
