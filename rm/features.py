"""Preference pairs as tensors: images, prompts, and the judgements on each axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from rewardkit.data import PreferenceRecord
from rewardkit.types import PerImage
from rm.glyphs import glyphs
from rm.heads import Features
from rm.image_cache import ImageStore, Rows
from rm.sources import ImageSource, PromptSource

PromptsOf = Callable[[Sequence[str]], PromptSource]
"""Makes the source of prompts' embeddings: a cache, or the text tower itself."""


@dataclass
class PairFeatures:
    """Everything a training step needs about a list of pairs."""

    images: ImageSource
    prompts: PromptSource
    first: Rows
    second: Rows
    prompt: Rows
    glyphs: Int[Tensor, "prompts length"]
    labels: dict[str, PerImage]
    """Axis -> P(first is better); NaN where the axis was not judged."""

    def __len__(self) -> int:
        return len(self.first)

    def batch(self, rows: Rows, generator: Generator | None) -> Features:
        """Return the features of the first images of `rows`, then of the second images: twice as many as rows."""
        images, prompt = torch.cat([self.first[rows], self.second[rows]]), self.prompt[rows].repeat(2)
        return features_of(self.images, self.prompts, self.glyphs, images, prompt, generator)


def features_of(
    images: ImageSource,
    prompts: PromptSource,
    letters: Int[Tensor, "prompts length"],
    image: Rows,
    prompt: Rows,
    generator: Generator | None,
) -> Features:
    """Gather the features of some images, each with a prompt."""
    seen = images.image(image, generator)
    device = seen.pooled.device
    text, wanted = prompts.text(prompt).to(device), letters[prompt].to(device)
    length = int((wanted != 0).sum(1).max().clamp_min(1))
    return Features(seen.tokens.float(), seen.pooled.float(), seen.colours.float(), text.float(), wanted[:, :length])


def pair_features(
    records: Sequence[PreferenceRecord],
    image_cache: ImageStore,
    images: ImageSource,
    prompts_of: PromptsOf,
    axes: Sequence[str],
) -> PairFeatures:
    """Convert records to tensors; each distinct prompt is stored once."""
    prompts = list(dict.fromkeys(record.prompt for record in records))
    number = {prompt: index for index, prompt in enumerate(prompts)}
    nan = float("nan")
    return PairFeatures(
        images,
        prompts_of(prompts),
        torch.tensor([image_cache.row[record.first] for record in records]),
        torch.tensor([image_cache.row[record.second] for record in records]),
        torch.tensor([number[record.prompt] for record in records]),
        glyphs(prompts),
        {axis: torch.tensor([record.label.get(axis, nan) for record in records]) for axis in axes},
    )
