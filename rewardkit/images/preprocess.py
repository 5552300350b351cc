"""From images of any size to an encoder's input, differentiably: resize, crop, normalise.

The arithmetic is that of each encoder's published recipe, on tensors, so that a reward's gradient reaches the pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn import functional as F

from rewardkit.types import Images

Framed = Float[Tensor, "batch 3 framed_height framed_width"]
"""Images at the input size of an encoder."""

Pixels = Num[Tensor, "batch 3 height width"]
"""RGB as floats in [0, 1], or as bytes, which are resized in 8 bits, as PIL does."""

FramedPixels = Num[Tensor, "batch 3 framed_height framed_width"]
"""The same at the input size of an encoder."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of red, green and blue over CLIP's training images (arXiv 2103.00020)."""

STRIP = 32
"""Aspect ratio from which an image is cropped before it is resized."""

Fit = Literal["crop", "stretch", "pad", "native"]


@dataclass(frozen=True)
class Preprocess:
    """How images become an encoder's input."""

    size: tuple[int, int]
    """Height and width the encoder expects; ignored when `fit` is native."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fit: Fit = "crop"
    """crop: shorter side to size, then its centre; stretch: both sides; pad: longer side, then black; native: as is"""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"

    def frame(self, images: Pixels) -> FramedPixels:
        """Resize images to the size of the encoder, keeping floats or bytes.

        Framing is idempotent. With floats, bicubic may exceed [0, 1] slightly.
        """
        height, width = images.shape[-2:]
        if self.fit == "native" or (height, width) == self.size:
            return images
        if self.fit == "stretch":
            return self.resize(images, self.size)
        if self.fit == "crop" and max(height, width) > STRIP * min(height, width):
            # Only the centre of a long strip is kept; without this its whole length would be enlarged first.
            kept = STRIP * min(height, width)
            height, width = min(height, kept), min(width, kept)
            images = centre(images, (height, width))
        scales = self.size[0] / height, self.size[1] / width
        scale = max(scales) if self.fit == "crop" else min(scales)
        # Published recipes round the longer side down before a crop, and to nearest before a pad.
        whole = math.floor if self.fit == "crop" else round
        sides = (max(1, whole(height * scale + 1e-9)), max(1, whole(width * scale + 1e-9)))
        return centre(self.resize(images, sides), self.size)

    def resize(self, images: Pixels, size: tuple[int, int]) -> FramedPixels:
        """Resize with antialias, as PIL does."""
        if images.shape[-2:] == size:
            return images
        return F.interpolate(images, size=size, mode=self.interpolation, antialias=True, align_corners=False)

    def normalise(self, images: Images) -> Images:
        """Subtract the mean and divide by the standard deviation of each channel."""
        return (images - channel(self.mean, images)) / channel(self.std, images)

    def __call__(self, images: Images) -> Framed:
        return self.normalise(self.frame(images))


def floats(images: Pixels) -> Images:
    """Bytes as floats in [0, 1]; floats as they are."""
    return images.float().div_(255) if images.dtype == torch.uint8 else images


def centre(images: Pixels, size: tuple[int, int]) -> FramedPixels:
    """Crop the centre, or pad with black around it, to `size`."""
    edges: list[int] = []
    for have, want in ((images.shape[-1], size[1]), (images.shape[-2], size[0])):
        # An odd pixel goes to the same side as in torchvision, open_clip and transformers.
        before = (want - have) // 2 if want >= have else -round((have - want) / 2)
        edges += [before, want - have - before]
    return F.pad(images, edges)


def channel(values: Sequence[float], like: Images) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)
