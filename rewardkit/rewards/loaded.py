"""Rewards as the toolkit uses them: any user object becomes one `LoadedReward`, and its scores are checked."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from rewardkit.errors import UserError, did_you_mean
from rewardkit.images.checks import check_images
from rewardkit.images.preprocess import FramedPixels, Pixels
from rewardkit.prompts import check_prompts
from rewardkit.rewards.call import ScoreCall, blamed
from rewardkit.rewards.protocol import MultiReward, Reward, applies
from rewardkit.rewards.results import check_graph, checked, described
from rewardkit.training.device import DTypeName, arithmetic, pick_dtype
from rewardkit.types import Mask, Scores


@dataclass(frozen=True, eq=False)
class LoadedReward:
    """A reward with one or several scores; it has all methods, whatever the user's object offers."""

    name: str
    axes: Mapping[str, str]
    """Every score's name and its axis: `{"ocr": "text"}`, or `{"rm.alignment": "alignment", "rm.text": "text"}`."""
    differentiable: bool
    """Whether the gradient reaches the pixels."""
    compute: Callable[[Tensor, Sequence[str]], Mapping[str, Any]]
    """The user's scores by score name, unchecked; `scores` checks them."""
    frame: Callable[[Pixels], FramedPixels]
    """Resizes images to the reward's size (see `Frames`); returns them unchanged if it has none."""
    source: Any
    """The user's object."""

    def scores(self, images: Tensor, prompts: Sequence[str]) -> dict[str, Scores]:
        """Score images (B, 3, H, W), RGB in [0, 1], by score name, in one forward pass.

        The scores are returned on the images' device, wherever the reward computed them. Raises `UserError` for images
        or prompts of the wrong form, for any failure inside the reward, and for a result that is not one finite
        floating-point number per image.
        """
        check_images(images, f"reward {self.name!r}")
        check_prompts(prompts, f"reward {self.name!r}", len(images))
        found = self.compute(images, prompts)
        scores = {name: checked(name, found[name], images, prompts) for name in self.axes}
        if self.differentiable and images.requires_grad and torch.is_grad_enabled():
            for name, axis in self.axes.items():
                check_graph(name, scores[name], applies(axis, prompts))
        return scores

    def gates(self, prompts: Sequence[str]) -> dict[str, Mask]:
        """Which prompts each score applies to: those of its axis, without those that it says it cannot score."""
        able = getattr(self.source, "can_score", None)
        mask = torch.tensor(able(prompts) if able else [True] * len(prompts), dtype=torch.bool)
        return {name: applies(axis, prompts) & mask for name, axis in self.axes.items()}

    def score(self, images: Tensor, prompts: Sequence[str], axis: str | None = None) -> Scores:
        """Score images on one axis; raises `UserError` if the reward has several and none is named."""
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
        """Return one axis as a separate reward; raise `UserError` if there is no such axis."""
        names = [name for name, own in self.axes.items() if own == axis]
        if not names:
            raise UserError(f"reward {self.name!r} has no axis {axis!r}; {did_you_mean(axis, self.axes.values())}")
        return replace(self, name=names[0], axes={names[0]: axis})


AnyReward = Reward | MultiReward | LoadedReward
"""Accepted user objects."""


def loaded(reward: Any, called: str | None = None) -> LoadedReward:
    """Convert any reward to a `LoadedReward`; a loaded reward is returned unchanged.

    Raises `UserError`, naming the object as `called`, for an object that is not a reward.
    """
    if isinstance(reward, LoadedReward):
        return reward
    multi = hasattr(reward, "axes")
    check_parts(reward, MULTI if multi else SINGLE, called or repr(reward))
    frame = framing(reward.name, reward.frame) if hasattr(reward, "frame") else as_it_is
    axes = {f"{reward.name}.{axis}": axis for axis in reward.axes} if multi else {reward.name: reward.axis}
    compute = (several if multi else single)(reward)
    return LoadedReward(reward.name, axes, reward.differentiable, compute, frame, reward)


SINGLE: Mapping[str, str] = {"name": "a string", "axis": "a string", "differentiable": "a bool", "score": "a method"}
MULTI: Mapping[str, str] = {"name": "a string", "axes": "strings", "differentiable": "a bool", "scores": "a method"}
"""The parts of the two kinds of rewards."""


def check_parts(reward: Any, needed: Mapping[str, str], called: str) -> None:
    """Raise `UserError` for an object that lacks a part of a reward, or has one of the wrong type."""
    kinds: dict[str, Callable[[Any], bool]] = {
        "a string": lambda part: isinstance(part, str) and part != "",
        "strings": lambda part: isinstance(part, list | tuple) and all(isinstance(axis, str) and axis for axis in part),
        "a bool": lambda part: isinstance(part, bool),
        "a method": callable,
    }
    parts = ", ".join(f"{name} ({kind})" for name, kind in needed.items())
    if inspect.isclass(reward):
        raise UserError(f"{called} is a class; pass an object of it, {reward.__name__}()")
    for name, kind in needed.items():
        if not hasattr(reward, name):
            raise UserError(f"{called} is no reward: it has no {name}; a reward needs {parts}")
        if not kinds[kind](getattr(reward, name)):
            raise UserError(f"{called} is no reward: its {name} must be {kind}; got {getattr(reward, name)!r}")


def as_it_is(images: Pixels) -> FramedPixels:
    return images


def framing(name: str, function: Callable[[Pixels], FramedPixels]) -> Callable[[Pixels], FramedPixels]:
    def frame(images: Pixels) -> FramedPixels:
        with blamed(f"reward {name!r}", "frame(images)"):
            return function(images)

    return frame


def single(reward: Reward) -> Callable[[Tensor, Sequence[str]], Mapping[str, Any]]:
    call = ScoreCall(reward.name, "score(images, prompts)", reward.score)
    return lambda images, prompts: {reward.name: call(images, prompts)}


def several(reward: MultiReward) -> Callable[[Tensor, Sequence[str]], Mapping[str, Any]]:
    call = ScoreCall(reward.name, "scores(images, prompts)", reward.scores)

    def compute(images: Tensor, prompts: Sequence[str]) -> Mapping[str, Any]:
        found: Any = call(images, prompts)
        missing = [axis for axis in reward.axes if not isinstance(found, Mapping) or axis not in found]
        if missing:
            raise UserError(
                f"reward {reward.name!r} returned {described(found)}, which has no axis {missing[0]!r}; "
                "expected a dictionary of axis -> scores with all its axes"
            )
        return {f"{reward.name}.{axis}": found[axis] for axis in reward.axes}

    return compute


def in_dtype(reward: LoadedReward, device: torch.device, dtype: DTypeName) -> LoadedReward:
    """Return the reward with its networks computing in a dtype; weights and scores stay in float32."""
    if pick_dtype(dtype, device) == torch.float32:
        return reward

    def compute(images: Tensor, prompts: Sequence[str]) -> Mapping[str, Any]:
        with arithmetic(device, dtype):
            found = reward.compute(images, prompts)
        return {name: value.float() if isinstance(value, Tensor) else value for name, value in found.items()}

    return replace(reward, compute=compute)


def score_axes(rewards: Sequence[AnyReward]) -> dict[str, str]:
    """Every score's name and its axis; raise `UserError` for duplicate names."""
    axes: dict[str, str] = {}
    for reward in map(loaded, rewards):
        for name, axis in reward.axes.items():
            if name in axes:
                raise UserError(f"two rewards are called {name!r}; leave one out")
            axes[name] = axis
    return axes


def score_all(rewards: Sequence[AnyReward], images: Tensor, prompts: Sequence[str]) -> dict[str, Scores]:
    """Score images with every reward, one forward pass each; 0 for prompts that a reward cannot score.

    Raises `UserError` as `LoadedReward.scores` does.
    """
    scores: dict[str, Scores] = {}
    for reward in map(loaded, rewards):
        able = getattr(reward.source, "can_score", None)
        rows = [row for row, can in enumerate(able(prompts)) if can] if able else list(range(len(prompts)))
        if len(rows) == len(prompts):
            scores |= reward.scores(images, prompts)
            continue
        check_prompts(prompts, f"reward {reward.name!r}", len(images))
        found = reward.scores(images[rows], [prompts[row] for row in rows]) if rows else {}
        for name in reward.axes:
            whole = images.new_zeros(len(prompts), dtype=torch.float32)
            scores[name] = whole.index_put((torch.tensor(rows),), found[name].float()) if rows else whole
    return scores
