"""Reward feedback learning (ReFL, Xu et al. 2023, arXiv:2304.05977) for rectified flow.

Sample without a graph down to a random late step m, take that one step with a graph, estimate the image behind it
(`x0 = x - sigma * v`), decode it, and descend the rewards' loss. One step of gradient is enough, and the steps after m
are never computed. Left out: the paper's pre-training loss; staying near the base is the work of the penalty below.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from refl.lora import reference
from rewardkit.errors import UserError
from rewardkit.reward import Panel
from rewardkit.sampling import Velocity, clean, sample
from rewardkit.types import Images, Latents, NoiseLevels, Scalar, Scores


@dataclass(frozen=True)
class Chain:
    """One batch's way from noise to an image estimate."""

    prefix: Velocity
    """Used before the late step, without a graph."""
    window: Velocity
    """Used at the late step."""
    noise: Latents
    sigmas: NoiseLevels
    late: int
    """The step m that carries the graph."""


@dataclass(frozen=True)
class Outcome:
    """What one batch said."""

    loss: Scalar
    raw: dict[str, Scores]
    """Raw rewards, one an image."""
    kl: Scalar
    """Mean squared distance to the base's velocity at the late step."""
    images: Images


def refl(
    chain: Chain, decode: Callable[[Latents], Images], panel: Panel, prompts: Sequence[str], *,
    denoiser: nn.Module, kl: float = 0.0, augment: Callable[[Images], Images] = lambda images: images,
) -> Outcome:  # fmt: skip
    """Loss of one batch; its graph holds one pass of the denoiser, the decoder and the rewards."""
    noisy = sample(chain.prefix, chain.noise, chain.sigmas, stop=chain.late)
    sigma = chain.sigmas[chain.late].expand(len(noisy))
    anchor = base_velocity(chain.window, noisy, sigma, denoiser) if kl else None
    slope = chain.window(noisy, sigma)
    images = augment(decode(clean(noisy, sigma, slope)))
    raw = panel.raw(images, prompts)
    distance = slope.new_zeros(()) if anchor is None else (slope - anchor).square().mean()
    loss = panel.loss(raw, prompts)
    return Outcome(loss + kl * distance.to(loss), raw, distance.detach(), images.detach())


@torch.no_grad()
def base_velocity(velocity: Velocity, latents: Latents, sigma: Scores, denoiser: nn.Module) -> Latents:
    """What the base model says here. Two Gaussian steps of equal variance differ by a KL proportional to
    `|v - v_ref|^2` (Fan et al. 2023, arXiv:2305.16381, 4.2); the constant is left to the weight.
    """
    with reference(denoiser):
        return velocity(latents, sigma)


def late_step(steps: int, window: tuple[float, float], generator: torch.Generator) -> int:
    """Draw the step that carries the graph, evenly from a window given as shares of the chain.

    (0.75, 1.0) of 40 steps draws from steps 30 to 39, as the paper does.
    """
    low, high = window
    if not 0 <= low < high <= 1:
        raise UserError(f"window must be two shares of the chain, 0 <= start < end <= 1; got {low} {high}")
    first, end = math.floor(low * steps + 1e-9), math.ceil(high * steps - 1e-9)
    return int(torch.randint(first, end, (), generator=generator, device=generator.device))
