"""Flow matching on images (Liu et al. 2022, arXiv:2209.03003): a straight path from the image to the noise."""

from torch import nn

from rewardkit.types import Latents, PerImage, Scalar


def noised(latents: Latents, noise: Latents, sigma: PerImage) -> Latents:
    """Noised latents at each image's noise level: `(1 - sigma) latents + sigma noise`."""
    level = sigma.view(-1, 1, 1, 1)
    return (1 - level) * latents + level * noise


def flow_loss(velocity: Latents, latents: Latents, noise: Latents) -> Scalar:
    """Mean squared error of a predicted velocity; the true one is `noise - latents` all along the path."""
    return nn.functional.mse_loss(velocity, noise - latents)
