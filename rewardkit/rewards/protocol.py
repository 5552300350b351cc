"""The reward protocol: one method, `score(images, prompts) -> (B,)`, higher is better.

Three attributes go with it: its name, its axis and whether its gradient reaches the pixels. A user's class needs no
import from here. A model with several axes in one forward pass has `scores` instead (`MultiReward`). Either becomes a
`LoadedReward` before it is used.
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
        """Return the scores of every axis by name."""
        ...


@runtime_checkable
class Frames(Protocol):
    """A reward that first resizes images to its own size; framing is idempotent.

    When many files are scored, framing runs in the decoding threads on bytes, and returns bytes (resized in 8 bits, as
    in published recipes) or floats. It is optional for a reward.
    """

    def frame(self, images: Pixels) -> FramedPixels: ...


def applies(axis: str, prompts: Sequence[str]) -> Mask:
    """Return which prompts an axis applies to: the text axis only if the prompt asks for text (quotes it)."""
    return torch.tensor([axis != "text" or has_text(prompt) for prompt in prompts], dtype=torch.bool)
