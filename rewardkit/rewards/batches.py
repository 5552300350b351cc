"""Batches of image files for rewards: decoded and framed in threads, any image sizes, few in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Num
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.images import ImageBytes, load_pixels
from rewardkit.images.ahead import ahead
from rewardkit.images.preprocess import floats
from rewardkit.rewards.loaded import AnyReward, loaded, score_all
from rewardkit.types import Scores

AHEAD = 2
"""Batches of images that are read ahead."""

WAITING = 4
"""Batches of images that may wait for others of the same size."""


@dataclass(frozen=True)
class Batch:
    """Images that go through the rewards together."""

    rows: Sequence[int]
    """Their indices in the list of files."""
    images: Sequence[Tensor]
    """The input of each reward, (B, 3, height, width): framed by it, or unchanged if it takes any size."""


@dataclass(frozen=True)
class Unreadable:
    """A file that is not an image."""

    row: int
    error: str


def batches(
    files: Sequence[Path | ImageBytes], rewards: Sequence[AnyReward], size: int
) -> Iterator[Batch | Unreadable]:
    """Read files and yield batches of at most `size` images of one shape, not always in order."""
    queues: dict[tuple[torch.Size, ...], list[tuple[int, Sequence[Tensor]]]] = {}
    for row, frames in ahead(
        lambda row: framed(load_pixels(files[row]), rewards), range(len(files)), depth=AHEAD * size
    ):
        if isinstance(frames, UserError):
            yield Unreadable(row, str(frames))
            continue
        shape = tuple(one.shape for one in frames)
        queues.setdefault(shape, []).append((row, frames))
        if len(queues[shape]) == size:
            yield stacked(queues.pop(shape))
        elif sum(map(len, queues.values())) == WAITING * size:
            yield stacked(queues.pop(max(queues, key=lambda shape: len(queues[shape]))))
    yield from map(stacked, queues.values())


def framed(image: Num[Tensor, "3 height width"], rewards: Sequence[AnyReward]) -> Sequence[Tensor]:
    """The input of each reward for an image: floats, framed in 8 bits before the conversion from bytes."""
    return [floats(loaded(reward).frame(image[None]))[0].contiguous() for reward in rewards]


def stacked(queue: Sequence[tuple[int, Sequence[Tensor]]]) -> Batch:
    rows, frames = zip(*queue, strict=True)
    return Batch(rows, [torch.stack(of_reward) for of_reward in zip(*frames, strict=True)])


def score_batch(
    rewards: Sequence[AnyReward], batch: Batch, prompts: Sequence[str], device: str | torch.device
) -> dict[str, Scores]:
    """Score a batch with every reward, each on its own frames."""
    scores: dict[str, Tensor] = {}
    for reward, images in zip(rewards, batch.images, strict=True):
        scores |= score_all([reward], images.to(device), prompts)
    return scores
