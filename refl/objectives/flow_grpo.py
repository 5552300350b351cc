"""Flow-GRPO (Liu et al. 2025, arXiv:2505.05470): policy gradient, for rewards without one, on noisy steps.

A flow's chain has no chance in it, so some of its steps are made those of the stochastic equation that has the same
images at every noise level,

    x' = x + (v + s^2 / (2 sigma) (x + (1 - sigma) v)) d + s sqrt(-d) e,    s = a sqrt(sigma / (1 - sigma)),

with `d` the step (negative) and `e` normal noise. A step is then a Gaussian, and the likelihood of those whose images
stand above others of their prompt is raised. As in the paper's fast variant only a few neighbouring steps are noisy;
images of a prompt start from one noise and part ways there. Every batch is drawn and learnt from once, so the ratio of
new to old likelihood is 1, its clipping has nothing to do, and its gradient is that of the log-likelihood.
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
"""How noisy a noisy step is: `a` above (the paper's)."""


@dataclass(frozen=True)
class SdeStep:
    """A noisy step that was taken."""

    start: Latents
    end: Latents
    sigma: Scalar
    following: Scalar
    spread: Scalar


@dataclass(frozen=True, kw_only=True)
class FlowGrpo(ComparingObjective):
    """Make neighbouring steps noisy, and the noise of the better images of a prompt more likely."""

    grad_steps: int = 2
    """Noisy steps, which carry a graph."""
    kl: float = 0.01
    """About the paper's; its gradient is weak."""

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
    """Draw where the noisy steps begin; the chain's last step, whose noise would stay in the image, is never one.

    Raise `UserError` where the window has no room for them.
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
    """Take noisy steps one after another; every image has noise of its own."""
    taken = []
    for i in steps:
        sigma, following = chain.sigmas[i], chain.sigmas[i + 1]
        spread = SPREAD * (sigma / (1 - chain.sigmas[max(i, 1)])).sqrt()  # at sigma 1, where it is endless, the next
        mean = centre(latents, chain.window(latents, sigma.expand(len(latents))), sigma, following, spread)
        noise = chain.fresh(latents, chain.random(f"noisy step {i}"))
        end = mean + (spread * (sigma - following).sqrt()).to(mean) * noise
        taken.append(SdeStep(latents, end, sigma, following, spread))
        latents = end
    return taken


def centre(latents: Latents, velocity: Latents, sigma: Scalar, following: Scalar, spread: Scalar) -> Latents:
    """Where a noisy step goes without its noise."""
    drift = velocity + spread.to(velocity).square() / (2 * sigma.to(velocity)) * (
        latents + (1 - sigma).to(velocity) * velocity
    )
    return latents + (following - sigma).to(velocity) * drift


def log_likelihood(step: SdeStep, velocity: Latents) -> PerImage:
    """Log density of the step taken, a mean over the latent's numbers; without what does not depend on `velocity`."""
    off = step.end - centre(step.start, velocity, step.sigma, step.following, step.spread)
    variance = step.spread.square() * (step.sigma - step.following)
    return -(off.square() / (2 * variance).to(off)).mean((1, 2, 3))
