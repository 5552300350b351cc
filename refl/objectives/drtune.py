"""DRTune (Wu et al. 2024, arXiv:2405.00760): train early steps too, but with a detached denoiser input.

Of the steps up to an early stop, K evenly spaced steps have a graph. The input of the denoiser is detached, so that the
gradient flows along the sum of the steps and not through one pass into the next: it cannot explode, and memory is K
passes. The image is estimated at the stop. Unlike in the paper, which samples stop and steps separately, the steps are
counted back from the stop, so that the step of the estimate is always trained.
"""

from dataclasses import dataclass

import torch

from refl.objectives.backpropagate import GradientObjective
from refl.objectives.chain import Chain, Estimate, bounds, check_grad_steps, late_step
from rewardkit.diffusion.sampling import clean


@dataclass(frozen=True, kw_only=True)
class DRTune(GradientObjective):
    """Stop at a random step, and train steps up to it."""

    window: tuple[float, float] = (0.5, 1.0)
    """Range of the stop, as fractions of the chain."""
    grad_steps: int = 2
    """Steps with a graph, the paper's K."""

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        bounds(steps, self.window)
        check_grad_steps(self.grad_steps, steps)

    def passes(self, steps: int) -> int:
        return self.grad_steps

    def estimate(self, chain: Chain) -> Estimate:
        stop = late_step(chain.steps, self.window, chain.random("window"))
        apart = max(1, (stop + 1) // self.grad_steps)
        trained = set(range(stop, -1, -apart)[: self.grad_steps])
        latents, graph_steps = chain.noise, []
        for i in range(stop):
            if i in trained:
                graph_steps.append(chain.grad_step(latents.detach(), chain.sigmas[i]))
                velocity = graph_steps[-1].velocity
            else:
                with torch.no_grad():
                    velocity = chain.prefix(latents, chain.sigmas[i].expand(len(latents)))
            latents = latents + (chain.sigmas[i + 1] - chain.sigmas[i]) * velocity
        last = chain.grad_step(latents.detach(), chain.sigmas[stop])
        return Estimate(clean(latents, last.sigma, last.velocity), [*graph_steps, last])
