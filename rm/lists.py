"""Rank lists as tensors: the images of each list, and its ranks on each axis."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor
from torch.nn.utils.rnn import pad_sequence

from rewardkit.data import RankedRecord
from rm.features import PromptsOf, features_of
from rm.glyphs import glyphs
from rm.heads import Features
from rm.image_cache import ImageStore, Rows
from rm.losses import Lists
from rm.sources import ImageSource, PromptSource

There = Bool[Tensor, "lists places"]
"""Which positions of a list have an image; the rest is padding."""


@dataclass
class ListFeatures:
    """Everything a training step needs about rank lists."""

    images: ImageSource
    prompts: PromptSource
    image: Int[Tensor, "lists places"]
    """Row of each image, left-aligned; -1 is padding."""
    prompt: Rows
    glyphs: Int[Tensor, "prompts length"]
    ranks: dict[str, Lists]
    """Axis -> ranks, smaller is better; NaN where an image was not judged, and in padding."""

    def __len__(self) -> int:
        return len(self.image)

    def batch(self, rows: Rows, generator: Generator | None) -> tuple[Features, There]:
        """Return the features of the images of some lists, one list after the other, and their positions."""
        image = self.image[rows]
        there = image >= 0
        prompt = self.prompt[rows].repeat_interleave(there.sum(1))
        return features_of(self.images, self.prompts, self.glyphs, image[there], prompt, generator), there


def readable_lists(lists: Sequence[RankedRecord], image_cache: ImageStore, axes: Sequence[str]) -> list[RankedRecord]:
    """Remove unreadable images from the lists; keep the lists that still judge two images on some axis."""
    kept = []
    for one in lists:
        there = [place for place, image in enumerate(one.images) if image in image_cache.row]
        left = one.only(there)
        if any(sum(score == score for score in left.scores.get(axis, ())) > 1 for axis in axes):
            kept.append(left)
    return kept


def list_features(
    lists: Sequence[RankedRecord],
    image_cache: ImageStore,
    images: ImageSource,
    prompts_of: PromptsOf,
    axes: Sequence[str],
) -> ListFeatures:
    """Convert lists to padded tensors."""
    prompts = list(dict.fromkeys(one.prompt for one in lists))
    number = {prompt: index for index, prompt in enumerate(prompts)}
    nan = float("nan")
    return ListFeatures(
        images,
        prompts_of(prompts),
        pad([[image_cache.row[image] for image in one.images] for one in lists], -1.0),
        torch.tensor([number[one.prompt] for one in lists]),
        glyphs(prompts),
        {
            # Only the order matters, so negated scores are ranks.
            axis: pad([[-score for score in one.scores.get(axis, [nan] * len(one.images))] for one in lists], nan)
            for axis in axes
        },
    )


def pad(rows: Sequence[Sequence[int]] | Sequence[Sequence[float]], value: float) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)
