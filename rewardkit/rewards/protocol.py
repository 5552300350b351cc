"""What a user hands in as a reward: one method, `score(images, prompts) -> (B,)`, higher is better.

Three facts go with it: its name, its axis and whether its gradient reaches the pixels. A user's class needs no import
from here. A model that yields several axes in one forward pass offers `scores` instead (`MultiReward`). Either
becomes a `LoadedReward` before it is used.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

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

    def scores(self, images: Images, prompts: Sequence[str]) -> dict[str, Scores]:
        """Return every axis's scores by the axis's name."""
        ...


@runtime_checkable
class Frames(Protocol):
    """A reward that brings images to a size of its own before anything else; framing a second time changes nothing.

    Who scores many files lets it do so in the threads that decode them, on bytes, which it gives back as bytes (resized
    in 8 bits, as published recipes do) or as floats. A reward need not offer it.
    """

    def frame(self, images: Pixels) -> FramedPixels: ...


def applies(axis: str, prompts: Sequence[str]) -> Mask:
    """Say which prompts an axis speaks about: the text axis only where the prompt asks for text (quotes it)."""
    return torch.tensor([axis != "text" or has_text(prompt) for prompt in prompts], dtype=torch.bool)
