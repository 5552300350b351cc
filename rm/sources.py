"""Features of images and prompts by row: from a cache if the encoder is frozen, else from the encoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from rewardkit.encoders import Embedding, Encoder, ImageFeatures
from rewardkit.io.progress import Progress
from rewardkit.training.device import TrainingDTypeName, arithmetic
from rewardkit.training.processes import Processes
from rewardkit.types import Images
from rm.augment import flip, light
from rm.image_cache import ImageStore, Rows, chunks, shared_tensor

GeneratorOf = Callable[[int, str], Generator]
"""A run's generators: by step and by stream."""

Augment = Callable[[Images, Generator], Images]


AUGMENT: dict[str, Augment | None] = {"light": light, "flip": flip, "none": None}


@runtime_checkable
class ImageSource(Protocol):
    """Gives the features of images by row."""

    def image(self, rows: Rows, generator: Generator | None) -> ImageFeatures:
        """With a generator return a random view of each image; without one the image itself."""
        ...


@runtime_checkable
class PromptSource(Protocol):
    """Gives the embeddings of prompts by row; of width 0 if the encoder reads none."""

    def text(self, rows: Rows) -> Embedding: ...


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
    """Features of an encoder that is trained."""

    encoder: Encoder
    image_cache: ImageStore
    device: torch.device
    augment: Augment | None
    dtype: TrainingDTypeName = "float32"

    def image(self, rows: Rows, generator: Generator | None) -> ImageFeatures:
        images = self.image_cache.images(rows)
        if generator is not None and self.augment is not None:
            images = self.augment(images, generator)
        with arithmetic(self.device, self.dtype):
            return self.encoder.image(images.to(self.device))


@dataclass
class CachedPrompts:
    """Embeddings of a frozen text tower."""

    embeddings: Float[Tensor, "prompts text_dim"]

    def text(self, rows: Rows) -> Embedding:
        return self.embeddings[rows]


@dataclass
class LivePrompts:
    """Embeddings of a text tower that is trained."""

    encoder: Encoder
    prompts: Sequence[str]
    device: torch.device
    dtype: TrainingDTypeName = "float32"

    def text(self, rows: Rows) -> Embedding:
        asked, place = rows.unique(return_inverse=True)
        with arithmetic(self.device, self.dtype):
            found = self.encoder.text([self.prompts[row] for row in asked.tolist()])
        return found[place.to(found.device)]


@torch.no_grad()
def cache_images(
    live: LiveImages, generator: GeneratorOf, views: int, folder: Path, world: Processes, batch_size: int = 256
) -> CachedImages:
    """Run a frozen encoder once over every view of every image; tokens are stored as float16.

    The processes of a machine compute a shard of the batches each, into files in `folder`.
    """
    encoder, image_cache, augment, device = live.encoder, live.image_cache, live.augment, live.device
    views = views if augment is not None else 1
    count = len(image_cache.pixels)
    probe = encoder.image(image_cache.images(torch.arange(1)).to(device)).tokens
    tokens = shared_tensor((views, count, *probe.shape[1:]), torch.float16, folder / "tokens", world)
    pooled = shared_tensor((views, count, encoder.embed_dim), torch.float32, folder / "pooled", world)
    colours = shared_tensor((views, count, 10), torch.float32, folder / "colours", world)
    batches = list(enumerate(chunks(torch.arange(count), batch_size)))
    own = world.local_shard([(view, *batch) for view in range(views) for batch in batches])
    with Progress("features", sum(len(rows) for _, _, rows in own)) as bar:
        for view, batch, rows in own:
            images = image_cache.images(rows)
            if view and augment is not None:
                images = augment(images, generator(view, f"view of batch {batch}"))
            with arithmetic(device, live.dtype):
                found = encoder.image(images.to(device))
            tokens[view, rows] = found.tokens.half().cpu()
            pooled[view, rows] = found.pooled.float().cpu()
            colours[view, rows] = found.colours.float().cpu()
            bar.update(len(rows))
    world.wait()
    return CachedImages(tokens, pooled, colours, device)


@torch.no_grad()
def cache_prompts(
    encoder: Encoder, prompts: Sequence[str], world: Processes, dtype: TrainingDTypeName
) -> CachedPrompts:
    """Encode every prompt once, one shard per process."""
    if not encoder.reads_text:
        return CachedPrompts(torch.zeros(len(prompts), 0))
    starts = world.share(range(0, len(prompts), 256))
    with arithmetic(world.device, dtype):
        parts = [encoder.text(prompts[start : start + 256]).float().cpu() for start in starts]
    return CachedPrompts(torch.cat([part for parts in world.gather(parts) for part in parts]))
