"""Whole runs with judges: a planted cheat is caught and undone, an honest run is left alone, a resume decides alike."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from refl.command import train
from refl.config import ReflConfig
from rewardkit.diffusion.lora_file import WEIGHTS_NAME
from rewardkit.errors import UserError
from rewardkit.images import load_image


def redness(images: Tensor) -> Tensor:
    red, green, blue = images.mean((2, 3)).unbind(1)
    return red - (green + blue) / 2


class Reward:
    axis = "aesthetic"

    def __init__(self, differentiable: bool) -> None:
        self.name, self.differentiable = type(self).__name__.lower(), differentiable


class Red(Reward):
    """The trained reward: more is always better."""

    def __init__(self) -> None:
        super().__init__(True)

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return redness(images)


class Peak(Reward):
    """The truth of the cheat: a little more red is better, much more is worse."""

    def __init__(self) -> None:
        super().__init__(False)

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        return -(redness(images.detach()) - PEAK).abs()


class RedShare(Reward):
    """The truth of the honest run: another measure of the same thing."""

    def __init__(self) -> None:
        super().__init__(False)

    def score(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        means = images.detach().mean((2, 3))
        return means[:, 0] / means.sum(1)


PEAK = 0.14
"""The tiny base starts at 0.126, its images differ by 0.008."""


@pytest.fixture
def config(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReflConfig:
    monkeypatch.setitem(sys.modules, "planted", sys.modules[__name__])
    return ReflConfig(
        prompts=folder / "prompts.txt",
        base=str(folder / "base"),
        out=tmp_path / "run",
        rewards=("planted:Red",),
        judges=("planted:Peak",),
        updates=24,
        batch_size=8,
        steps=2,
        rank=4,
        warmup=1,
        lr=2e-2,
        ema=0.5,
        targets={"red": 100.0},
        grid_every=0,
        save_every=8,
        guard_every=2,
        guard_images=8,
        augment=0.0,
        kl=0.0,
        window=(0.5, 1.0),
    )


def verdict(out: Path) -> dict[str, Any]:
    return json.loads((out / "guard.json").read_text())


def weights(out: Path) -> dict[str, Tensor]:
    return load_file(out / "lora" / WEIGHTS_NAME)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_planted_cheat_is_caught_and_the_best_weights_stand(
    config: ReflConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config)
    said = verdict(config.out)
    assert said["stopped"]
    assert 0 <= said["best"] < said["step"] < config.updates
    assert "the judges fell since update" in said["sentence"]
    assert "the trained reward rose" in said["sentence"]
    assert said["sentence"] in capsys.readouterr().out
    rows = [json.loads(line) for line in (config.out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == said["step"]
    checks = {row["step"]: row["judges"][0] for row in said["checks"]}
    assert max(checks, key=lambda step: checks[step]) == said["best"]
    assert load_image(config.out / "guard.png").shape[-1] > 400
    kept = (config.out / "report.html").read_text().split("Weights kept")[1][:200]
    assert f"update {said['best']}<" in kept
    assert "stopped by the guard" in kept

    short = replace(config, out=tmp_path / "short", updates=said["best"], judges=())
    train(short)
    assert same(weights(config.out), weights(short.out))


def test_an_honest_run_is_not_stopped_and_learns_the_same_with_or_without_judges(
    config: ReflConfig, tmp_path: Path
) -> None:
    honest = replace(config, judges=("planted:RedShare",), updates=12)
    train(honest)
    said = verdict(honest.out)
    assert not said["stopped"]
    assert said["sentence"] == "nothing found wrong up to update 12"
    assert said["checks"][-1]["judges"][1] > 0
    alone = replace(honest, judges=(), out=tmp_path / "alone")
    train(alone)
    assert not (alone.out / "guard.json").exists()
    assert same(weights(honest.out), weights(alone.out))


def test_no_guard_warns_and_goes_on(config: ReflConfig) -> None:
    train(replace(config, guard=False))
    said = verdict(config.out)
    assert (said["stopped"], said["step"]) == (False, config.updates)
    assert said["sentence"].startswith("warning: at update")


def test_a_stopped_run_resumes_to_the_same_verdict(config: ReflConfig, tmp_path: Path) -> None:
    train(config)
    halves = replace(config, out=tmp_path / "halves", save_every=1)
    train(replace(halves, updates=2))
    for _ in range(2):
        train(replace(halves, resume=True))
        assert verdict(halves.out)["sentence"] == verdict(config.out)["sentence"]
        assert same(weights(config.out), weights(halves.out))
    assert (config.out / "metrics.jsonl").read_bytes() == (halves.out / "metrics.jsonl").read_bytes()


def test_a_judge_may_not_be_trained_on(config: ReflConfig) -> None:
    with pytest.raises(UserError, match="'red' is trained on"):
        train(replace(config, judges=("planted:Red",)))


def test_the_guard_looks_closer_after_a_bad_look(config: ReflConfig) -> None:
    """Every 8 updates, and 2 after a bad look; with `--no-guard` the judges only watch."""
    train(replace(config, guard_every=8))
    said = verdict(config.out)
    assert said["stopped"]
    steps = [row["step"] for row in said["checks"]]
    assert steps[-1] % 8 == 2
    assert steps[:-1] == list(range(0, steps[-1], 8))
    train(replace(config, guard_every=8, guard=False, out=config.out.with_name("watched")))
    assert [row["step"] for row in verdict(config.out.with_name("watched"))["checks"]] == [0, 8, 16, 24]


def test_the_end_of_a_run_keeps_the_best_weights_where_the_judges_fell(config: ReflConfig, tmp_path: Path) -> None:
    train(config)
    best = verdict(config.out)["best"]
    ends = replace(config, updates=verdict(config.out)["step"], out=tmp_path / "ends")
    train(ends)
    said = verdict(ends.out)
    assert (said["stopped"], said["step"], said["best"], said["stands"]) == (False, ends.updates, best, best)
    assert same(weights(ends.out), weights(config.out))
