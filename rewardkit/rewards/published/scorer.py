"""Base class of the published scorers: frozen, on one device, for batches of any size, from tensors or PIL images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from PIL import Image
from torch import Tensor, nn

from rewardkit.images.preprocess import Framed, FramedPixels, Pixels
from rewardkit.rewards.panel import Part
from rewardkit.rewards.published.framing import Framing, PadBlack
from rewardkit.types import Images, Scores


@dataclass(frozen=True)
class Reference:
    """Usual scores of generated images: a first guess, until a panel is fitted on your own images."""

    low: float
    high: float
    mean: float
    std: float
    source: str
    """Source of the figures."""

    def part(self, weight: float = 1.0) -> Part:
        """The settings of this scorer in a panel that was not fitted."""
        return Part(weight=weight, mean=self.mean, std=self.std)


def between(low: float, high: float, source: str) -> Reference:
    """A reference with only a known range: mean in its middle, a quarter of it as standard deviation."""
    return Reference(low, high, (low + high) / 2, (high - low) / 4, f"{source}; mean and std guessed from the range")


class Scorer(nn.Module):
    """A published scorer: itself a reward, and a frozen torch module whose gradient reaches the pixels."""

    name: str
    axis: str
    differentiable: bool = True
    reference: Reference
    preprocess: Framing | PadBlack

    def freeze(self) -> None:
        """Freeze the weights and turn off dropout; gradients still reach the images."""
        self.requires_grad_(False).eval()

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def rate(self, pixels: Framed, prompts: Sequence[str]) -> Scores:
        """Score images that are framed and normalised."""
        raise NotImplementedError

    def frame(self, images: Pixels) -> FramedPixels:
        """Resize images to the scorer's size; idempotent."""
        return self.preprocess.frame(images)

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """Score images of any size in [0, 1]; differentiable down to the pixels.

        They are framed in their own precision, then cast to the scorer's; scores of half precision come as float32.
        """
        check_counts(len(images), prompts)
        if not len(images):
            return images.new_zeros(0)
        pixels = self.preprocess(images.to(self.device))
        return full(self.rate(pixels.to(self.dtype), prompts))

    @torch.no_grad()
    def score_pil(self, images: Sequence[Image.Image], prompts: Sequence[str], batch_size: int = 16) -> Scores:
        """Score PIL images of any sizes, preprocessed as in the published code (8-bit resizing)."""
        check_counts(len(images), prompts)
        scores = [torch.zeros(0)]
        for start in range(0, len(images), batch_size):
            framed = [self.preprocess.frame_pil(image).to(self.device) for image in images[start : start + batch_size]]
            done = start
            for batch in of_one_size(framed):
                pixels = self.preprocess.normalise(batch).to(self.dtype)
                scores.append(full(self.rate(pixels, prompts[done : done + len(batch)])).cpu())
                done += len(batch)
        return torch.cat(scores).to(self.device)


def of_one_size(framed: Sequence[Tensor]) -> Iterator[Framed]:
    """Stack consecutive images of the same size, in order."""
    for _, run in groupby(framed, key=lambda image: image.shape):
        yield torch.stack(list(run))


def check_counts(count: int, prompts: Sequence[str]) -> None:
    if count != len(prompts):
        raise ValueError(f"one prompt per image: got {count} images and {len(prompts)} prompts")


def full(values: Tensor) -> Tensor:
    """Convert half precision to float32, because it has too few digits to compare scores."""
    return values if values.dtype == torch.float64 else values.float()
