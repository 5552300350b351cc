"""Rewards as the toolkit uses them: whatever a user hands in becomes one `LoadedReward`, and its scores are checked."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rewardkit.errors import UserError, did_you_mean
from rewardkit.images.preprocess import FramedPixels, Pixels
from rewardkit.rewards.protocol import Frames, MultiReward, Reward
from rewardkit.types import Scores


@dataclass(frozen=True, eq=False)
class LoadedReward:
    """A reward of one score or several; every method is there, whatever the user's object offers."""

    name: str
    axes: Mapping[str, str]
    """Every score's name and its axis: `{"ocr": "text"}`, or `{"rm.alignment": "alignment", "rm.text": "text"}`."""
    differentiable: bool
    """Whether the gradient reaches the pixels."""
    compute: Callable[[Tensor, Sequence[str]], Mapping[str, Any]]
    """The user's own scores by score name, not yet checked; `scores` checks them."""
    frame: Callable[[Pixels], FramedPixels]
    """Brings images to the reward's own size (see `Frames`); leaves them as they are where it has none."""
    source: Any
    """The object that the user handed in."""

    def scores(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Scores]:
        """Score images by score name, in one forward pass, on the images' device.

        Raises `UserError` for a result that is not one finite floating number an image.
        """
        if len(images) != len(prompts):
            raise UserError(f"one prompt an image: got {len(images)} images and {len(prompts)} prompts")
        found = self.compute(images, prompts)
        return {name: checked(name, found[name], images, prompts) for name in self.axes}

    def score(self, images: Tensor, prompts: Sequence[str], axis: str | None = None) -> Scores:
        """Score images on one axis; a reward of several needs to be told which, or raises `UserError`."""
        if axis is not None:
            return self.pick(axis).score(images, prompts)
        if len(self.axes) > 1:
            axes = ", ".join(self.axes.values())
            raise UserError(
                f"reward {self.name!r} has several axes ({axes}); name one: score(images, prompts, axis=...)"
            )
        (scores,) = self.scores(images, prompts).values()
        return scores

    def pick(self, axis: str) -> "LoadedReward":
        """Take one axis as a reward of its own; raise `UserError` when there is no such axis."""
        names = [name for name, own in self.axes.items() if own == axis]
        if not names:
            raise UserError(f"reward {self.name!r} has no axis {axis!r}; {did_you_mean(axis, self.axes.values())}")
        return replace(self, name=names[0], axes={names[0]: axis})


AnyReward = Reward | MultiReward | LoadedReward
"""What a user may hand in."""


def loaded(reward: Any, called: str | None = None) -> LoadedReward:
    """Make a `LoadedReward` of any reward; one that is loaded already is returned as it is.

    Raises `UserError`, naming the object as `called`, for what is no reward.
    """
    if isinstance(reward, LoadedReward):
        return reward
    if inspect.isclass(reward) or not isinstance(reward, Reward | MultiReward):
        raise UserError(
            f"{called or reward!r} is no reward: it needs name, axis, differentiable and score(images, prompts), "
            "or name, axes, differentiable and scores(images, prompts)"
        )
    frame = reward.frame if isinstance(reward, Frames) else as_it_is
    if isinstance(reward, MultiReward):
        axes = {f"{reward.name}.{axis}": axis for axis in reward.axes}
        return LoadedReward(reward.name, axes, reward.differentiable, several(reward), frame, reward)
    axes = {reward.name: reward.axis}
    return LoadedReward(reward.name, axes, reward.differentiable, single(reward), frame, reward)


def as_it_is(images: Pixels) -> FramedPixels:
    return images


def single(reward: Reward) -> Callable[[Tensor, Sequence[str]], Mapping[str, Any]]:
    return lambda images, prompts: {reward.name: reward.score(images, prompts)}


def several(reward: MultiReward) -> Callable[[Tensor, Sequence[str]], Mapping[str, Any]]:
    def compute(images: Tensor, prompts: Sequence[str]) -> Mapping[str, Any]:
        found: Any = reward.scores(images, prompts)
        missing = [axis for axis in reward.axes if not isinstance(found, Mapping) or axis not in found]
        if missing:
            raise UserError(
                f"reward {reward.name!r} returned {described(found)}, which has no axis {missing[0]!r}; "
                "expected a dictionary of axis -> scores with all its axes"
            )
        return {f"{reward.name}.{axis}": found[axis] for axis in reward.axes}

    return compute


def score_axes(rewards: Sequence[AnyReward]) -> dict[str, str]:
    """Every score's name and its axis; raise `UserError` for two scores of one name."""
    axes: dict[str, str] = {}
    for reward in map(loaded, rewards):
        for name, axis in reward.axes.items():
            if name in axes:
                raise UserError(f"two rewards are called {name!r}; leave one out")
            axes[name] = axis
    return axes


def score_all(rewards: Sequence[AnyReward], images: Tensor, prompts: Sequence[str]) -> dict[str, Scores]:
    """Score images by every reward, one forward pass each; raise `UserError` as `LoadedReward.scores` does."""
    scores: dict[str, Scores] = {}
    for reward in map(loaded, rewards):
        scores |= reward.scores(images, prompts)
    return scores


def checked(name: str, found: Any, images: Tensor, prompts: Sequence[str]) -> Scores:
    """One finite floating score an image, on the images' device; raise `UserError` naming the reward otherwise.

    A column (B, 1) or a lone number would broadcast against the batch, and give a wrong loss without a word.
    """
    right = isinstance(found, Tensor) and found.shape == (len(images),) and found.is_floating_point()
    if not right:
        raise UserError(
            f"reward {name!r} returned {described(found)}; expected a floating-point torch.Tensor of shape "
            f"({len(images)},), one score an image"
        )
    check_finite(name, found, prompts)
    return found.to(images.device)


def described(found: Any) -> str:
    """What a reward returned, in a few words."""
    if isinstance(found, Tensor):
        return f"a {str(found.dtype).removeprefix('torch.')} tensor of shape {tuple(found.shape)}"
    if isinstance(found, Mapping):
        return f"a dictionary of {', '.join(map(str, found)) or 'nothing'}"
    return f"a value of type {type(found).__name__}"


def check_finite(name: str, scores: Scores, prompts: Sequence[str]) -> None:
    """Stop at the first score that is not a finite number, and name its prompt: a bad reward must not poison a step."""
    bad = (~torch.isfinite(scores.detach())).nonzero().flatten().tolist()
    if bad:
        index = bad[0]
        raise UserError(
            f"reward {name!r} gave {scores[index].item()} for sample {index} of {len(prompts)} "
            f"(prompt: {prompts[index]!r}); check that reward on this image, or leave it out of the panel"
        )
