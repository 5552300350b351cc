"""Features of pairs by row: from a cache where the encoder is frozen, from the encoder itself where it learns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from rewardkit.encoders import Encoder, ImageFeatures
from rewardkit.pairs import PreferenceRecord
from rewardkit.progress import Progress
from rewardkit.types import Images, PerImage
from rm.glyphs import glyphs
from rm.heads import Features
from rm.store import ImageStore, Rows, big_tensor, chunks
from rm.views import flip, light

GeneratorOf = Callable[[int, str], Generator]
"""A run's generators: by step and by stream."""


@runtime_checkable
class ImageSource(Protocol):
    """Gives the features of images by row."""

    def image(self, rows: Rows, generator: Generator | None) -> ImageFeatures:
        """With a generator give a random view of each image; without one the image itself."""
        ...


@dataclass
class CachedImages:
    """Features of a frozen encoder, `views` of each image; the first view is the image itself."""

    tokens: Float[Tensor, "views images tokens width"]
    pooled: Float[Tensor, "views images dim"]
    colours: Float[Tensor, "views images 10"]
    device: torch.device

    def image(self, rows: Rows, generator: Generator | None) -> ImageFeatures:
        views = torch.zeros_like(rows)
        if generator is not None:
            views = torch.randint(len(self.tokens), rows.shape, generator=generator)
        tokens = self.tokens[views, rows].to(self.device, torch.float32)
        pooled, colours = self.pooled[views, rows], self.colours[views, rows]
        return ImageFeatures(tokens, pooled.to(self.device), colours.to(self.device))


@dataclass
class LiveImages:
    """Features of an encoder that learns."""

    encoder: Encoder
    store: ImageStore
    device: torch.device
    augment: Callable[[Images, Generator], Images] | None

    def image(self, rows: Rows, generator: Generator | None) -> ImageFeatures:
        images = self.store.images(rows)
        if generator is not None and self.augment is not None:
            images = self.augment(images, generator)
        return self.encoder.image(images.to(self.device))


AUGMENT: dict[str, Callable[[Images, Generator], Images] | None] = {"light": light, "flip": flip, "none": None}


@torch.no_grad()
def cache_images(
    encoder: Encoder,
    store: ImageStore,
    generator: GeneratorOf,
    *,
    views: int,
    augment: Callable[[Images, Generator], Images] | None,
    batch_size: int,
    device: torch.device,
    file: Path,
) -> CachedImages:
    """Run the frozen encoder once over every view of every image; tokens are kept as float16."""
    views = views if augment is not None else 1
    count = len(store.pixels)
    probe = encoder.image(store.images(torch.arange(1)).to(device)).tokens
    tokens = big_tensor((views, count, *probe.shape[1:]), torch.float16, file)
    pooled, colours = torch.empty(views, count, encoder.embed_dim), torch.empty(views, count, 10)
    with Progress("features", views * count) as bar:
        for view in range(views):
            for batch, rows in enumerate(chunks(torch.arange(count), batch_size)):
                images = store.images(rows)
                if view and augment is not None:
                    images = augment(images, generator(view, f"view of batch {batch}"))
                found = encoder.image(images.to(device))
                tokens[view, rows] = found.tokens.half().cpu()
                pooled[view, rows] = found.pooled.float().cpu()
                colours[view, rows] = found.colours.float().cpu()
                bar.update(len(rows))
    return CachedImages(tokens, pooled, colours, device)


@dataclass
class PairFeatures:
    """Everything a training step needs about a list of pairs."""

    images: ImageSource
    first: Rows
    second: Rows
    prompt: Rows
    text: Float[Tensor, "prompts text_dim"]
    glyphs: Int[Tensor, "prompts length"]
    labels: dict[str, PerImage]
    """Axis -> P(first is better); NaN where the axis was not judged."""

    def __len__(self) -> int:
        return len(self.first)

    def batch(self, rows: Rows, generator: Generator | None) -> Features:
        """Give the features of the first images of `rows`, then those of the second ones: twice as many as rows."""
        seen = self.images.image(torch.cat([self.first[rows], self.second[rows]]), generator)
        prompt = self.prompt[rows].repeat(2)
        device = seen.pooled.device
        text, wanted = self.text[prompt].to(device), self.glyphs[prompt].to(device)
        length = int((wanted != 0).sum(1).max().clamp_min(1))
        return Features(seen.tokens.float(), seen.pooled.float(), seen.colours.float(), text, wanted[:, :length])

    def select(self, rows: Rows) -> "PairFeatures":
        """Keep some pairs; the features are shared."""
        labels = {axis: values[rows] for axis, values in self.labels.items()}
        picked = self.first[rows], self.second[rows], self.prompt[rows]
        return PairFeatures(self.images, *picked, self.text, self.glyphs, labels)


@torch.no_grad()
def pair_features(
    records: Sequence[PreferenceRecord], store: ImageStore, images: ImageSource, encoder: Encoder, axes: Sequence[str]
) -> PairFeatures:
    """Lay records out as tensors, and encode each prompt once."""
    prompts = list(dict.fromkeys(record.prompt for record in records))
    number = {prompt: index for index, prompt in enumerate(prompts)}
    text = torch.zeros(len(prompts), 0)
    if encoder.reads_text:
        text = torch.cat([encoder.text(prompts[i : i + 256]).float().cpu() for i in range(0, len(prompts), 256)])
    nan = float("nan")
    return PairFeatures(
        images,
        torch.tensor([store.row[record.first] for record in records]),
        torch.tensor([store.row[record.second] for record in records]),
        torch.tensor([number[record.prompt] for record in records]),
        text,
        glyphs(prompts),
        {axis: torch.tensor([record.label.get(axis, nan) for record in records]) for axis in axes},
    )
