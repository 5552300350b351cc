"""Framing exactly as in the published code: the same size and corner for tensors and for PIL images."""

from dataclasses import dataclass
from typing import Literal

from PIL import Image
from torch import Tensor

from rewardkit.images import to_tensor
from rewardkit.images.preprocess import CLIP_MEAN, CLIP_STD, FramedPixels, Pixels, Preprocess, floats

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Framing(Preprocess):
    """Resize to `shape`, then keep `size` from `corner` on."""

    def shape(self, height: int, width: int) -> Size:
        """The size to which an image of this size is resized."""
        return self.size

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Top and left of the crop of a resized image."""
        return 0, 0

    def kept(self, height: int, width: int) -> Size:
        """Height and width of the crop of a resized image."""
        return self.size

    def frame(self, images: Pixels) -> FramedPixels:
        """Resize and crop; idempotent."""
        resized = self.resize(images, self.shape(*images.shape[-2:]))
        top, left = self.corner(*resized.shape[-2:])
        height, width = self.kept(*resized.shape[-2:])
        return resized[..., top : top + height, left : left + width]

    def frame_pil(self, image: Image.Image) -> Tensor:
        """Resize with PIL in 8 bits and crop; (3, height, width) in [0, 1]."""
        height, width = self.shape(image.height, image.width)
        kind = Image.Resampling.BICUBIC if self.interpolation == "bicubic" else Image.Resampling.BILINEAR
        top, left = self.corner(height, width)
        kept_height, kept_width = self.kept(height, width)
        resized = image.convert("RGB").resize((width, height), kind)
        return to_tensor(resized.crop((left, top, left + kept_width, top + kept_height)))


@dataclass(frozen=True)
class CentreCrop(Framing):
    """Shorter side to size, the longer side rounded down, then a centre crop.

    Rounding of an odd remainder: "down" for transformers' image processors, "even" for torchvision, which
    rounds a half to the even number.
    """

    half: Literal["down", "even"] = "down"

    def shape(self, height: int, width: int) -> Size:
        size = self.size[0]
        return (size, int(size * width / height)) if height <= width else (int(size * height / width), size)

    def corner(self, height: int, width: int) -> tuple[int, int]:
        top, left = (height - self.size[0]) / 2, (width - self.size[1]) / 2
        return (int(top), int(left)) if self.half == "down" else (round(top), round(left))


@dataclass(frozen=True)
class PadBlack(Preprocess):
    """Longer side to size, padded with black; always resized as a tensor, as in HPSv2."""

    def frame(self, images: Pixels) -> FramedPixels:
        """Resize in floats and pad; idempotent."""
        return super().frame(floats(images))

    def frame_pil(self, image: Image.Image) -> Tensor:
        """The same as for tensors; (3, height, width)."""
        return self.frame(to_tensor(image.convert("RGB"))[None])[0]


def clip_crop(size: int, half: Literal["down", "even"] = "down") -> CentreCrop:
    """A centre crop with CLIP's mean and standard deviation."""
    return CentreCrop((size, size), CLIP_MEAN, CLIP_STD, half=half)


def clip_pad(size: int) -> PadBlack:
    """Black padding with CLIP's mean and standard deviation."""
    return PadBlack((size, size), CLIP_MEAN, CLIP_STD, fit="pad")
