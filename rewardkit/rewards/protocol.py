"""What a reward is: one method, `score(images, prompts) -> (B,)`, higher is better.

Three facts go with it: its name, its axis and whether its gradient reaches the pixels. A user's class needs no import
from here. A model that yields several axes in one forward pass offers `scores` instead (`MultiReward`).
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from rewardkit.errors import UserError
from rewardkit.images.preprocess import FramedPixels, Pixels
from rewardkit.prompts import has_text
from rewardkit.types import Images, Mask, Scores

AXES = ("alignment", "aesthetic", "text")


@runtime_checkable
class Reward(Protocol):
    """Scores images against their prompts on one axis; higher is better."""

    name: str
    axis: str
    differentiable: bool

    def score(self, images: Images, prompts: Sequence[str]) -> Scores: ...


@runtime_checkable
class MultiReward(Protocol):
    """Scores images on several axes in one forward pass."""

    name: str
    axes: tuple[str, ...]
    differentiable: bool

    def scores(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]: ...


@runtime_checkable
class Frames(Protocol):
    """A reward that brings images to a size of its own before anything else; framing a second time changes nothing.

    Who scores many files lets it do so in the threads that decode them, on bytes, which it gives back as bytes (resized
    in 8 bits, as published recipes do) or as floats. A reward need not offer it.
    """

    def frame(self, images: Pixels) -> FramedPixels: ...


AnyReward = Reward | MultiReward


def keys(reward: AnyReward) -> dict[str, str]:
    """Name every score a reward yields, with its axis: `{"ocr": "text"}`, or `{"rm.text": "text", ...}`."""
    if isinstance(reward, MultiReward):
        return {f"{reward.name}.{axis}": axis for axis in reward.axes}
    return {reward.name: reward.axis}


def frame(reward: AnyReward, images: Pixels) -> FramedPixels:
    """Frame images, bytes or floats, as a reward does; leave them as they are where it takes them so."""
    return reward.frame(images) if isinstance(reward, Frames) else images


def score_all(rewards: Sequence[AnyReward], images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
    """Score images by every reward, one forward pass each; raise `UserError` naming the sample of a NaN or infinity."""
    if len(images) != len(prompts):
        raise ValueError(f"one prompt an image: got {len(images)} images and {len(prompts)} prompts")
    scores: dict[str, Scores] = {}
    for reward in rewards:
        if isinstance(reward, MultiReward):
            scores |= {f"{reward.name}.{axis}": value for axis, value in reward.scores(images, prompts).items()}
        else:
            scores[reward.name] = reward.score(images, prompts)
    for name, value in scores.items():
        check_finite(name, value, prompts)
    return scores


def check_finite(name: str, scores: Scores, prompts: Sequence[str]) -> None:
    """Stop at the first score that is not a finite number, and name its prompt: a bad reward must not poison a step."""
    bad = (~torch.isfinite(scores.detach())).nonzero().flatten().tolist()
    if bad:
        index = bad[0]
        raise UserError(
            f"reward {name!r} gave {scores[index].item()} for sample {index} of {len(prompts)} "
            f"(prompt: {prompts[index]!r}); check that reward on this image, or leave it out of the panel"
        )


def applies(axis: str, prompts: Sequence[str]) -> Mask:
    """Say which prompts an axis speaks about: the text axis only where the prompt asks for text (quotes it)."""
    return torch.tensor([axis != "text" or has_text(prompt) for prompt in prompts], dtype=torch.bool)
