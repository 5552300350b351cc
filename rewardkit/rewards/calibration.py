"""A calibration as `rewardkit calibrate` saves it, ready to use: raw scores to ratings and to probabilities."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rewardkit.errors import UserError, did_you_mean
from rewardkit.images.preprocess import FramedPixels, Pixels
from rewardkit.rewards.protocol import AnyReward, MultiReward, Reward, frame
from rewardkit.types import Images, Scores

MARK = "rewardkit_calibration"
FORMAT = 1
FILE = "calibration.json"
"""Its name in a reward model's folder."""


@dataclass(frozen=True)
class Scale:
    """A map from raw scores to ratings that never falls: linear between its knots, level beyond the first and last."""

    scores: tuple[float, ...]
    """Raw scores of the knots, rising."""
    ratings: tuple[float, ...]
    """Ratings of the knots, 1 to 5, rising."""

    def __call__(self, scores: Scores) -> Scores:
        found = np.interp(scores.detach().double().cpu().numpy(), self.scores, self.ratings)
        return torch.from_numpy(found).to(scores)


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` saved, ready to use."""

    scales: Mapping[str, Scale]
    temperatures: Mapping[str, float]

    def rate(self, axis: str, scores: Scores) -> Scores:
        """Turn raw scores to ratings from 1 to 5."""
        return self.scales[axis](scores)

    def prefer(self, axis: str, first: Scores, second: Scores) -> Scores:
        """Give P(the first image is better)."""
        return ((first - second) / self.temperatures[axis]).sigmoid()

    @classmethod
    def load(cls, path: Path | str) -> "Calibration":
        """Read a file that `calibrate` wrote; raise `UserError` for anything else."""
        try:
            found: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; make one with rewardkit calibrate") from None
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get(MARK) != FORMAT:
            raise UserError(f"{path} is no calibration of this version; make one with rewardkit calibrate")
        axes = found["axes"].items()
        scales = {axis: Scale(tuple(one["scores"]), tuple(one["ratings"])) for axis, one in axes}
        return cls(scales, {axis: one["temperature"] for axis, one in axes})


class RatedAxis:
    """A reward of one axis on the 1-5 scale; for reports, not for training, as ratings carry no gradient."""

    differentiable = False

    def __init__(self, reward: Reward, calibration: Calibration) -> None:
        self.reward, self.calibration = reward, calibration
        self.name, self.axis = reward.name, reward.axis

    def frame(self, images: Pixels) -> FramedPixels:
        return frame(self.reward, images)

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """Rate images, 1 to 5."""
        return self.calibration.rate(self.axis, self.reward.score(images, prompts))


class RatedAxes:
    """A reward of several axes on the 1-5 scale; those that were not calibrated are left out."""

    differentiable = False

    def __init__(self, reward: MultiReward, calibration: Calibration) -> None:
        self.reward, self.calibration = reward, calibration
        self.name = reward.name
        self.axes = tuple(axis for axis in reward.axes if axis in calibration.scales)

    def frame(self, images: Pixels) -> FramedPixels:
        return frame(self.reward, images)

    def scores(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
        """Rate images on every axis, 1 to 5."""
        raw = self.reward.scores(images, prompts)
        return {axis: self.calibration.rate(axis, raw[axis]) for axis in self.axes}


def on_scale(rewards: Sequence[AnyReward], files: Mapping[str, Path]) -> list[AnyReward]:
    """Put rewards on the 1-5 scale of calibration files, given by the rewards' names; the others stay as they are.

    Raises `UserError` for a name that no reward has, and for a file that calibrates none of a reward's axes.
    """
    names = [reward.name for reward in rewards]
    for name in files:
        if name not in names:
            raise UserError(f"--calibration: no reward is called {name!r}; {did_you_mean(name, names)}")
    return [rated(reward, files[reward.name]) if reward.name in files else reward for reward in rewards]


def rated(reward: AnyReward, path: Path) -> AnyReward:
    """Put one reward on the scale of a calibration file."""
    calibration = Calibration.load(path)
    axes = reward.axes if isinstance(reward, MultiReward) else (reward.axis,)
    if not set(axes) & set(calibration.scales):
        raise UserError(
            f"{path} calibrates {', '.join(calibration.scales)}, but {reward.name!r} judges {', '.join(axes)}; "
            "calibrate this reward with rewardkit calibrate"
        )
    return RatedAxes(reward, calibration) if isinstance(reward, MultiReward) else RatedAxis(reward, calibration)
