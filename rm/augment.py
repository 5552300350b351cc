"""Slightly augmented views of an image, so that a head does not rely on invisible details.

A reward that is back-propagated into a generator sees noise, blur and shifts that no training pair has; a head
trained with them is harder to game.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from rewardkit.images.shift import shift
from rewardkit.types import Images

NOISE = 0.05
"""Largest standard deviation of the pixel noise, for values in [0, 1]."""
SHIFT = 0.03
"""Largest shift, as a fraction of the side."""
SOFT = 0.6
"""Largest weight of a 3 x 3 mean mixed into the image."""


def light(images: Images, generator: Generator) -> Images:
    """Shift, blur and noise each image by small random amounts."""
    count, _, height, width = images.shape
    softness, noise = (draw(count, generator, images) for _ in range(2))
    images = shift(images, SHIFT * (torch.rand(count, 2, generator=generator).to(images) * 2 - 1))
    mean = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = torch.lerp(images, mean, SOFT * softness)
    pixels = torch.randn(count, 3, height, width, generator=generator).to(images)
    return (images + NOISE * noise * pixels).clamp(0, 1)


def draw(count: int, generator: Generator, like: Tensor) -> Tensor:
    """One strength per image; half of them are 0, so that every change also occurs alone."""
    strength = torch.rand(count, 1, 1, 1, generator=generator)
    return (strength * 2 - 1).clamp_min(0).to(like)


def flip(images: Images, generator: Generator) -> Images:
    """Rotate and flip the whole batch by one of the eight symmetries of a square; for axes without orientation."""
    ways = torch.randint(2, (3,), generator=generator).tolist()
    images = images.flip(3) if ways[0] else images
    images = images.flip(2) if ways[1] else images
    return images.transpose(2, 3) if ways[2] else images
