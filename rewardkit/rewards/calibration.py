"""Calibrations saved by `rewardkit calibrate`: raw scores to ratings and to probabilities."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rewardkit.errors import UserError, did_you_mean
from rewardkit.rewards.loaded import AnyReward, LoadedReward, loaded
from rewardkit.types import Scores

MARK = "rewardkit_calibration"
FORMAT = 1
FILE = "calibration.json"
"""Its file name in a reward model's folder."""


@dataclass(frozen=True)
class Scale:
    """A non-decreasing map from raw scores to ratings: linear between its knots, constant outside."""

    scores: tuple[float, ...]
    """Raw scores of the knots, ascending."""
    ratings: tuple[float, ...]
    """Ratings of the knots, 1 to 5, ascending."""

    def __call__(self, scores: Scores) -> Scores:
        found = np.interp(scores.detach().double().cpu().numpy(), self.scores, self.ratings)
        return torch.from_numpy(found).to(scores)


@dataclass(frozen=True)
class Calibration:
    """A saved calibration."""

    scales: Mapping[str, Scale]
    temperatures: Mapping[str, float]

    def rate(self, axis: str, scores: Scores) -> Scores:
        """Convert raw scores to ratings from 1 to 5."""
        return self.scales[axis](scores)

    def prefer(self, axis: str, first: Scores, second: Scores) -> Scores:
        """Return P(the first image is better)."""
        return ((first - second) / self.temperatures[axis]).sigmoid()

    @classmethod
    def load(cls, path: Path | str) -> "Calibration":
        """Read a file that `calibrate` wrote; raise `UserError` for anything else."""
        try:
            found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; make one with rewardkit calibrate") from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get(MARK) != FORMAT:
            raise UserError(f"{path} is not a calibration of this version; make one with rewardkit calibrate")
        axes = found["axes"].items()
        scales = {axis: Scale(tuple(one["scores"]), tuple(one["ratings"])) for axis, one in axes}
        return cls(scales, {axis: one["temperature"] for axis, one in axes})


@dataclass(frozen=True)
class Ratings:
    """The ratings of a reward, 1 to 5, by score name."""

    reward: LoadedReward
    calibration: Calibration

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Scores]:
        raw = self.reward.scores(images, prompts)
        return {name: self.calibration.rate(self.reward.axes[name], scores) for name, scores in raw.items()}


def on_scale(rewards: Sequence[AnyReward], files: Mapping[str, Path]) -> list[LoadedReward]:
    """Map rewards to the 1-5 scale of calibration files, given by the rewards' names; others are unchanged.

    Raises `UserError` for a name that no reward has, and for a file that calibrates none of a reward's axes.
    """
    found = [loaded(reward) for reward in rewards]
    names = [reward.name for reward in found]
    for name in files:
        if name not in names:
            raise UserError(f"--calibration: no reward is called {name!r}; {did_you_mean(name, names)}")
    return [rated(reward, files[reward.name]) if reward.name in files else reward for reward in found]


def rated(reward: LoadedReward, path: Path) -> LoadedReward:
    """Map one reward to the scale of a calibration file; axes that it does not calibrate are left out.

    It is for reports, not for training, because ratings have no gradient.
    """
    calibration = Calibration.load(path)
    axes = {name: axis for name, axis in reward.axes.items() if axis in calibration.scales}
    if not axes:
        raise UserError(
            f"{path} calibrates {', '.join(calibration.scales)}, but {reward.name!r} judges "
            f"{', '.join(reward.axes.values())}; calibrate this reward with rewardkit calibrate"
        )
    return replace(reward, axes=axes, differentiable=False, compute=Ratings(replace(reward, axes=axes), calibration))
