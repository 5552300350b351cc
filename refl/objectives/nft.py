"""DiffusionNFT (Zheng et al. 2025, arXiv:2509.16117): policy improvement for rewards without a gradient.

Only the velocity at a re-noised image (the forward process) is differentiated. Training moves towards good images and
away from bad images: with `v_old` the velocity of the policy that generated the images and `beta` the distance between
the two velocities,

    v_plus  = (1 - beta) v_old + beta v        fits images weighted by how good they are (r),
    v_minus = (1 + beta) v_old - beta v        fits images weighted by how bad they are (1 - r),

where r in [0, 1] is relative to images of the same prompt. The old policy is the moving average of the
weights. Not implemented: several updates on one set of rollouts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from refl.objectives.chain import Chain, GradStep, bounds, check_noises
from refl.objectives.groups import ComparingObjective, advantages, rewards
from refl.objectives.objective import Batch, Outcome
from rewardkit.diffusion.sampling import sample
from rewardkit.errors import UserError
from rewardkit.types import Latents, PerImage, Scalar, Scores

BETA = 1.0
"""Distance of the good and the bad velocity from the old one (1 or 0.1 in the paper)."""


@dataclass(frozen=True, kw_only=True)
class Nft(ComparingObjective):
    """Move towards the good images of a prompt and away from the bad images; the averaged weights generate them."""

    noises: int = 2
    """Number of noises per image, each at its own noise level."""

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        super().check(steps, batch_size, tune_text)
        check_noises(self.noises)
        if tune_text:
            raise UserError(
                "nft compares with the old policy, whose prompt embeddings are not kept; leave --tune-text out"
            )

    def passes(self, steps: int) -> int:
        return self.noises

    def loss(self, batch: Batch) -> Outcome:
        chain, panel, prompts = batch.chain, batch.panel, batch.prompts
        with torch.no_grad(), batch.averaged():
            drawn = sample(chain.prefix, chain.noise, chain.sigmas)
            raw = panel.raw(batch.decode(drawn), prompts)
            noisings = [noising(chain, drawn, self.window, chain.random(f"noising {i}")) for i in range(self.noises)]
            before = [chain.window(noisy, sigma) for noisy, sigma, _ in noisings]
        good = chain.part.take(optimality(chain.part.whole(rewards(panel, raw, prompts)), self.group))
        graph_steps = [chain.grad_step(noisy, sigma) for noisy, sigma, _ in noisings]
        losses = [
            contrast(grad_step, before_update, target, good)
            for grad_step, before_update, (_, _, target) in zip(graph_steps, before, noisings, strict=True)
        ]
        return self.near_base(torch.stack(losses).mean(), raw, graph_steps, batch)


def optimality(rewards: Scores, group: int) -> PerImage:
    """How good each image is for its prompt, in [0, 1]: half, plus or minus up to one standard deviation."""
    return 0.5 + 0.5 * advantages(rewards, group).clamp(-1, 1)


def noising(
    chain: Chain, drawn: Latents, window: tuple[float, float], generator: torch.Generator
) -> tuple[Latents, PerImage, Latents]:
    """Noise each image to its own noise level; return it, the level, and the target velocity."""
    ends, device = bounds(chain.steps, window), generator.device
    steps = chain.part.own(lambda count: torch.randint(*ends, (count,), generator=generator, device=device))
    sigma = chain.sigmas[steps.to(chain.sigmas.device)]
    fresh = chain.fresh(drawn, generator)
    level = sigma.to(drawn).view(-1, 1, 1, 1)
    return (1 - level) * drawn + level * fresh, sigma, fresh - drawn


def contrast(
    grad_step: GradStep, before_update: Latents, target: Latents, good: PerImage, beta: float = BETA
) -> Scalar:
    """Fit the good velocity to good images and the bad velocity to bad images."""
    towards = misfit(before_update + beta * (grad_step.velocity - before_update), target, grad_step.sigma)
    away = misfit(before_update - beta * (grad_step.velocity - before_update), target, grad_step.sigma)
    good = good.to(towards)
    return (good * towards + (1 - good) * away).mean()


def misfit(velocity: Latents, target: Latents, sigma: PerImage) -> Tensor:
    """Squared error of the image estimate over its mean absolute error, which weights all noise levels equally."""
    error = sigma.to(velocity).view(-1, 1, 1, 1) * (velocity - target)
    return error.square().mean((1, 2, 3)) / error.detach().abs().mean((1, 2, 3)).clamp_min(1e-5)
