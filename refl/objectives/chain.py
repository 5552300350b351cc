"""Sampling of one batch from noise to image, and the result for an objective: an image estimate with a graph."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rewardkit.diffusion.lora import reference
from rewardkit.diffusion.sampling import Velocity
from rewardkit.errors import UserError
from rewardkit.training.batch_shard import BatchShard
from rewardkit.types import Latents, NoiseLevels, PerImage, Scalar


@dataclass(frozen=True)
class GradStep:
    """One pass of the denoiser that carries a graph."""

    noisy: Latents
    sigma: PerImage
    velocity: Latents
    """The velocity predicted there."""


@dataclass(frozen=True)
class Chain:
    """A batch before sampling: its velocity functions, its noise, and its random generators."""

    prefix: Velocity
    """The velocity without a graph."""
    window: Velocity
    """The velocity with a graph."""
    noise: Latents
    sigmas: NoiseLevels
    random: Callable[[str], torch.Generator]
    """A generator for each named stream of this update."""
    own: Velocity | None = None
    """As `window`, with the base's conditioning, if text encoders are trained too."""
    share: BatchShard | None = None
    """Which images of the update these are; default: all."""

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1

    @property
    def part(self) -> BatchShard:
        return self.share or BatchShard(len(self.noise))

    def fresh(self, like: Latents, generator: torch.Generator) -> Latents:
        """Normal noise for these images, independent of which process has them."""
        shape, device = like.shape[1:], generator.device
        return self.part.own(lambda count: torch.randn(count, *shape, generator=generator, device=device)).to(like)

    def grad_step(self, noisy: Latents, sigma: Tensor) -> GradStep:
        """Predict with a graph; `sigma` is one number, or one per image."""
        sigma = sigma.expand(len(noisy))
        return GradStep(noisy, sigma, self.window(noisy, sigma))


@dataclass(frozen=True)
class Estimate:
    """The result of an objective for the decoder and the rewards."""

    latents: Latents
    """Clean latents with a graph: one per image, or several rounds of the batch one after another."""
    graph_steps: Sequence[GradStep]


def late_step(steps: int, window: tuple[float, float], generator: torch.Generator) -> int:
    """Sample the step with the graph uniformly from a window, given as fractions of the chain.

    (0.75, 1.0) of 40 steps samples from steps 30 to 39, as ReFL does.
    """
    first, end = bounds(steps, window)
    return int(torch.randint(first, end, (), generator=generator, device=generator.device))


def bounds(steps: int, window: tuple[float, float]) -> tuple[int, int]:
    """First step of a window and the step after its last; raise `UserError` for an invalid window."""
    low, high = window
    if not 0 <= low < high <= 1:
        raise UserError(f"window must be two fractions of the chain, 0 <= start < end <= 1; got {low} {high}")
    return math.floor(low * steps + 1e-9), math.ceil(high * steps - 1e-9)


def check_grad_steps(grad_steps: int, steps: int) -> None:
    """Raise `UserError` for more steps with a graph than the chain has, or none."""
    if not 1 <= grad_steps <= steps:
        raise UserError(f"grad_steps must be between 1 and {steps}, the sampling steps; got {grad_steps}")


def check_noises(noises: int) -> None:
    """Raise `UserError` for less than one noise per image."""
    if noises < 1:
        raise UserError(f"noises must be 1 or more; got {noises}")


def distance(graph_steps: Sequence[GradStep], velocity: Velocity, denoiser: nn.Module) -> Scalar:
    """Mean squared distance to the base's velocity over the steps with a graph, with a gradient only on our side.

    Two Gaussian steps of equal variance differ by a KL proportional to `|v - v_ref|^2` (Fan et al. 2023,
    arXiv:2305.16381, 4.2); the constant is absorbed by the weight.
    """
    squared = [
        (each.velocity - base_velocity(velocity, each.noisy, each.sigma, denoiser)).square() for each in graph_steps
    ]
    return torch.stack([each.mean() for each in squared]).mean()


@torch.no_grad()
def base_velocity(velocity: Velocity, latents: Latents, sigma: PerImage, denoiser: nn.Module) -> Latents:
    """The base model's velocity at this step."""
    with reference(denoiser):
        return velocity(latents, sigma)
