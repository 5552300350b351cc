"""Sample a rectified flow with Euler steps, and keep a graph only where requested.

DRaFT-K (Clark et al. 2023, arXiv:2309.17400) differentiates the last K steps of the chain (`sample(grad_steps=K)`);
ReFL (Xu et al. 2023, arXiv:2304.05977) one late step, from which the image is estimated directly (`sample(stop=m)`
without a graph, then `clean`). Memory grows only with the steps that have a graph.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch

from rewardkit.diffusion.base import Base, OwnGuidance
from rewardkit.types import Conditioning, Latents, NoiseLevels, PerImage

Velocity = Callable[[Latents, PerImage], Latents]
"""(latents, noise level of each) -> noise - image."""

Unconditional = Literal["graph", "detached"]
"""Whether the unconditional pass of guidance has a gradient."""


def sample(
    velocity: Velocity, noise: Latents, sigmas: NoiseLevels, *, stop: int | None = None, grad_steps: int = 0
) -> Latents:
    """Integrate from `noise` through the first `stop` steps (all of them by default).

    The result has a graph over the last `grad_steps` of the steps taken; 0 means none.
    """
    stop = len(sigmas) - 1 if stop is None else stop
    if not 0 <= stop < len(sigmas):
        raise ValueError(f"stop must be between 0 and {len(sigmas) - 1}, the number of steps; got {stop}")
    if not 0 <= grad_steps <= stop:
        raise ValueError(f"grad_steps must be between 0 and {stop}, the steps taken; got {grad_steps}")

    latents = noise
    for i in range(stop):
        with torch.set_grad_enabled(i >= stop - grad_steps):
            predicted = velocity(latents, sigmas[i].expand(len(latents)))
            latents = latents + (sigmas[i + 1] - sigmas[i]) * predicted
    return latents


def clean(latents: Latents, sigma: PerImage, predicted: Latents) -> Latents:
    """Estimate the clean latents from noisy latents in one step: `x0 = x - sigma * v`."""
    return latents - sigma.to(latents).view(-1, 1, 1, 1) * predicted


def guided(
    base: Base,
    conditioning: Conditioning,
    empty: Conditioning,
    scale: float,
    unconditional: Unconditional = "graph",
) -> Velocity:
    """Velocity under guidance: `u + scale * (c - u)` (Ho and Salimans 2022, arXiv:2207.12598), or the base's own way.

    `empty` is the encoded empty prompt, one row. Scale 1 is the conditional velocity, in one pass. If guidance is
    distilled into the base, it is passed as a number. With `unconditional="detached"` the gradient goes only through
    the conditional pass.
    """
    if base.distilled_guidance:
        count = len(next(iter(conditioning.values())))
        scales = torch.full((count,), scale)
        return lambda latents, sigma: base.velocity(latents, sigma, {**conditioning, "guidance": scales})
    if scale == 1:
        return lambda latents, sigma: base.velocity(latents, sigma, conditioning)

    mix = base.guide if isinstance(base, OwnGuidance) else linear

    def velocity(latents: Latents, sigma: PerImage) -> Latents:
        nothing = {name: value.expand(len(latents), *value.shape[1:]) for name, value in empty.items()}
        if unconditional == "graph" or not torch.is_grad_enabled():
            both = concatenate([nothing, conditioning])
            without, given = base.velocity(latents.repeat(2, 1, 1, 1), sigma.repeat(2), both).chunk(2)
        else:
            with torch.no_grad():
                without = base.velocity(latents, sigma, nothing)
            given = base.velocity(latents, sigma, conditioning)
        return mix(without, given, scale)

    return velocity


def linear(without: Latents, given: Latents, scale: float) -> Latents:
    """Guidance as in its paper."""
    return without + scale * (given - without)


def concatenate(rows: Sequence[Conditioning]) -> Conditioning:
    """Concatenate conditionings along the batch; shorter token sequences are padded with zeros (and False in masks)."""
    return {name: _join([row[name] for row in rows]) for name in rows[0]}


def _join(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    if tensors[0].ndim < 2 or len({tensor.shape[1] for tensor in tensors}) == 1:
        return torch.cat(list(tensors))
    longest = max(tensor.shape[1] for tensor in tensors)
    padded = [
        torch.cat([tensor, tensor.new_zeros(len(tensor), longest - tensor.shape[1], *tensor.shape[2:])], 1)
        for tensor in tensors
    ]
    return torch.cat(padded)
