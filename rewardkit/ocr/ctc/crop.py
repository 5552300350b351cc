"""Crop lines of text from an image, differentiably in the pixels, and augment them to make the reward hard to game."""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional

from rewardkit.images import OneImage
from rewardkit.ocr.ctc.recogniser import HEIGHT, STRIDE, Line

Quad = Float[Tensor, "4 2"]
"""Corners (x, y) of a line in pixels, clockwise from the top corner where its text begins."""

UPRIGHT = 1.5
"""Boxes this many times higher than wide contain vertical text and are rotated, as in RapidOCR."""
WIDEST = 2048
"""Height of a line, in pixels."""
SHIFT, SCALE, BLUR, CONTRAST, NOISE = 0.1, 0.1, 2.0, 0.3, 0.1
"""At strength 1, at most: shift and change of size in heights of the line, blur (Gaussian's width) in pixels of a line
of 48, loss of contrast, and noise's standard deviation on the [0, 1] scale."""


def turned(quad: Quad) -> Quad:
    """Rotate a box of vertical text."""
    width, height = _sides(quad)
    return quad.roll(-1, 0) if height >= UPRIGHT * width else quad


def line_width(quad: Quad, least_frames: int) -> int:
    """Width of a line at its aspect ratio, but enough for the frames that a text needs, in whole frames."""
    width, height = _sides(quad)
    frames = round(HEIGHT * width / max(height, 1e-6) / STRIDE)
    return STRIDE * min(max(frames, least_frames, 1), WIDEST // STRIDE)


def _sides(quad: Quad) -> tuple[float, float]:
    top, right, bottom, left = (quad.roll(-1, 0) - quad).norm(dim=1).tolist()
    return max(top, bottom), max(left, right)


def crop(image: OneImage, quad: Quad, width: int) -> Line:
    """Crop a box to a line of 48 x `width`; bilinear, with averaging if the line is smaller than the box."""
    finer = max(1, math.ceil(_sides(quad)[1] / HEIGHT))
    places = _places(quad.to(image), HEIGHT * finer, width * finer)
    size = torch.tensor([image.shape[2], image.shape[1]]).to(image)
    cut = functional.grid_sample(image[None], (2 * places / size - 1)[None], padding_mode="border", align_corners=False)
    return functional.avg_pool2d(cut, finer)[0] if finer > 1 else cut[0]


def _places(quad: Quad, height: int, width: int) -> Float[Tensor, "height width 2"]:
    """Sample points evenly over a box by bilinear interpolation of its corners."""
    v = ((torch.arange(height) + 0.5) / height).to(quad)[:, None, None]
    u = ((torch.arange(width) + 0.5) / width).to(quad)[None, :, None]
    top, bottom = quad[0] * (1 - u) + quad[1] * u, quad[3] * (1 - u) + quad[2] * u
    return top * (1 - v) + bottom * v


def shake(quad: Quad, generator: Generator, strength: float) -> Quad:
    """Randomly shift a box and change its size a little."""
    along, down = quad[1] - quad[0], quad[3] - quad[0]
    height = down.norm()
    x, y, wider, higher = ((2 * torch.rand(4, generator=generator) - 1) * strength).to(quad)
    right, below = along / along.norm().clamp_min(1e-6), down / height.clamp_min(1e-6)
    moved = quad + height * SHIFT * (x * right + y * below / 2)
    signs = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]]).to(quad)
    return moved + height * SCALE / 2 * (signs[:, :1] * wider * right + signs[:, 1:] * higher * below)


def wear(line: Line, generator: Generator, strength: float) -> Line:
    """Blur a line, reduce its contrast and add noise, each by a random amount."""
    blurred, paler, noisy = (torch.rand(3, generator=generator) * strength).tolist()
    line = blur(line, BLUR * blurred)
    middle = line.mean((1, 2), keepdim=True)
    grain = torch.randn(line.shape, generator=generator).to(line)
    return middle + (1 - CONTRAST * paler) * (line - middle) + NOISE * noisy * grain


def blur(line: Line, sigma: float) -> Line:
    """Blur with a Gaussian of `sigma` pixels, repeating the border; a sigma close to 0 changes nothing."""
    radius = math.ceil(3 * sigma)
    if sigma < 0.1:
        return line
    taps = torch.exp(-torch.arange(-radius, radius + 1).square() / (2 * sigma**2))
    taps = (taps / taps.sum()).to(line)
    padded = functional.pad(line[None], (radius,) * 4, mode="replicate")[0][:, None]
    return functional.conv2d(functional.conv2d(padded, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[:, 0]
