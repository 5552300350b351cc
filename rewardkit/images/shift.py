"""Shift images by fractions of a pixel, differentiably."""

import torch
from torch import Tensor
from torch.nn import functional as F

from rewardkit.types import Images


def shift(images: Images, offsets: Tensor) -> Images:
    """Shift each image by its offset (B, 2), in fractions of its width and height; the border is repeated."""
    theta = torch.eye(2, 3).to(images).repeat(len(images), 1, 1)
    theta[:, :, 2] = 2 * offsets
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)
