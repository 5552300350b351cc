"""Augment an image by blur, shift and noise before it is scored, so that the reward is harder to game.

Reward networks score some pixel patterns high that mean nothing to people. Under small random augmentations such
patterns gain less than changes that survive the augmentation.
"""

import torch
from torch import nn

from rewardkit.images.shift import shift
from rewardkit.training.batch_shard import BatchShard
from rewardkit.types import Images

SHIFT, BLUR, NOISE = 1 / 32, 0.6, 0.02
"""At strength 1: fraction of the side, pixels, and standard deviation on the [0, 1] scale."""


def augment(
    images: Images, generator: torch.Generator, strength: float = 1.0, share: BatchShard | None = None
) -> Images:
    """Shift each image by up to 1/32 of its side, blur it by up to 0.6 pixels and add noise of up to 0.02.

    Differentiable; strength 0 returns the images unchanged. They may be a `share` of a batch, repeated several times.
    """
    if strength == 0:
        return images
    share, device, shape = share or BatchShard(len(images)), generator.device, images.shape[1:]
    rounds = len(images) // share.count
    amounts = share.own(lambda count: torch.rand(count, 4, generator=generator, device=device), rounds).to(images)
    noise = share.own(lambda count: torch.randn(count, *shape, generator=generator, device=device), rounds).to(images)
    images = shift(images, (amounts[:, :2] * 2 - 1) * SHIFT * strength)
    images = blur(images, amounts[:, 2] * BLUR * strength)
    return (images + noise * (amounts[:, 3] * NOISE * strength).view(-1, 1, 1, 1)).clamp(0, 1)


def blur(images: Images, sigmas: torch.Tensor) -> Images:
    """Blur each image with a Gaussian of its own width in pixels (3 taps: meant for widths below 1)."""
    side = torch.exp(-0.5 / sigmas.clamp_min(1e-3).square())
    taps = torch.stack([side, torch.ones_like(side), side], 1) / (1 + 2 * side)[:, None]
    batch, _, height, width = images.shape
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    weights = taps.view(batch, 3, 1, 1, 1).unbind(1)
    rows = torch.stack([weights[i] * padded[:, :, i : i + height] for i in range(3)]).sum(0)
    return torch.stack([weights[i] * rows[..., i : i + width] for i in range(3)]).sum(0)
