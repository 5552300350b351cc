"""Flow-GRPO (Liu et al. 2025, arXiv:2505.05470): policy gradient on stochastic steps, for any reward.

Sampling of a flow is deterministic, so some steps follow the stochastic differential equation that has the same
marginal distribution at every noise level,

    x' = x + (v + s^2 / (2 sigma) (x + (1 - sigma) v)) d + s sqrt(-d) e,    s = a sqrt(sigma / (1 - sigma)),

with `d` the step (negative) and `e` normal noise. A step is then a Gaussian, and the likelihood of steps whose images
score above others of their prompt is raised. As in the paper's fast variant only a few consecutive steps are
stochastic; images of a prompt start from the same noise and diverge there. Every rollout is used for one update, so the
ratio of new to old likelihood is 1, clipping has no effect, and the gradient is that of the log-likelihood.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from refl.objectives.chain import Chain, bounds
from refl.objectives.groups import ComparingObjective, advantages, rewards
from refl.objectives.objective import Batch, Outcome
from rewardkit.diffusion.sampling import sample
from rewardkit.errors import UserError
from rewardkit.types import Latents, PerImage, Scalar

SPREAD = 0.7
"""Noise scale of a stochastic step: `a` above (the paper's value)."""


@dataclass(frozen=True)
class SdeStep:
    """A stochastic step of a rollout."""

    start: Latents
    end: Latents
    sigma: Scalar
    following: Scalar
    spread: Scalar


@dataclass(frozen=True, kw_only=True)
class FlowGrpo(ComparingObjective):
    """Sample consecutive steps stochastically, and make the noise of a prompt's better images more likely."""

    grad_steps: int = 2
    """Stochastic steps, which have a graph."""
    kl: float = 0.01
    """Close to the paper's value, because the gradient of the objective is weak."""

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        super().check(steps, batch_size, tune_text)
        begin(steps, self.window, self.grad_steps, torch.Generator())

    def passes(self, steps: int) -> int:
        return self.grad_steps

    def loss(self, batch: Batch) -> Outcome:
        chain, panel, prompts = batch.chain, batch.panel, batch.prompts
        with torch.no_grad():
            first = begin(chain.steps, self.window, self.grad_steps, chain.random("step"))
            after = first + self.grad_steps
            shared = chain.noise[:: self.group].repeat_interleave(self.group, 0)
            taken = sde_steps(chain, sample(chain.prefix, shared, chain.sigmas, stop=first), range(first, after))
            drawn = sample(chain.prefix, taken[-1].end, chain.sigmas[after:])
            raw = panel.raw(batch.decode(drawn), prompts)
        above = chain.part.take(advantages(chain.part.whole(rewards(panel, raw, prompts)), self.group))
        graph_steps = [chain.grad_step(step.start, step.sigma) for step in taken]
        likely = torch.stack(
            [log_likelihood(step, grad_step.velocity) for step, grad_step in zip(taken, graph_steps, strict=True)]
        )
        return self.near_base(-(above.to(likely) * likely).mean(), raw, graph_steps, batch)


def begin(steps: int, window: tuple[float, float], grad_steps: int, generator: torch.Generator) -> int:
    """Sample where the stochastic steps begin; the last step, whose noise would stay in the image, is never stochastic.

    Raise `UserError` if the window is too short for them.
    """
    first, end = bounds(steps, window)
    end = min(end, steps - 1)
    if not 1 <= grad_steps <= end - first:
        raise UserError(
            f"grad_steps must be between 1 and {end - first}, the steps of the window {window[0]} {window[1]} without "
            f"the chain's last; got {grad_steps}"
        )
    return int(torch.randint(first, end - grad_steps + 1, (), generator=generator, device=generator.device))


def sde_steps(chain: Chain, latents: Latents, steps: Sequence[int]) -> list[SdeStep]:
    """Take the stochastic steps, with separate noise for every image."""
    taken = []
    for i in steps:
        sigma, following = chain.sigmas[i], chain.sigmas[i + 1]
        spread = (
            SPREAD * (sigma / (1 - chain.sigmas[max(i, 1)])).sqrt()
        )  # the next sigma at sigma 1, where it is infinite
        mean = centre(latents, chain.window(latents, sigma.expand(len(latents))), sigma, following, spread)
        noise = chain.fresh(latents, chain.random(f"noisy step {i}"))
        end = mean + (spread * (sigma - following).sqrt()).to(mean) * noise
        taken.append(SdeStep(latents, end, sigma, following, spread))
        latents = end
    return taken


def centre(latents: Latents, velocity: Latents, sigma: Scalar, following: Scalar, spread: Scalar) -> Latents:
    """Mean of a stochastic step."""
    drift = velocity + spread.to(velocity).square() / (2 * sigma.to(velocity)) * (
        latents + (1 - sigma).to(velocity) * velocity
    )
    return latents + (following - sigma).to(velocity) * drift


def log_likelihood(step: SdeStep, velocity: Latents) -> PerImage:
    """Log density of a step, averaged over latent elements, up to terms that do not depend on `velocity`."""
    off = step.end - centre(step.start, velocity, step.sigma, step.following, step.spread)
    variance = step.spread.square() * (step.sigma - step.following)
    return -(off.square() / (2 * variance).to(off)).mean((1, 2, 3))
