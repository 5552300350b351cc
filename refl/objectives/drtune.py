"""DRTune (Wu et al. 2024, arXiv:2405.00760): train early steps too, but never through the denoiser's input.

Of the steps up to an early stop, an even subset of K carries a graph. The denoiser sees its input detached, so that the
gradient flows along the sum of the steps and not through one network into the next: it cannot explode, and K passes
are all the memory it takes. The image is estimated at the stop at once. Ours: the subset is counted back from the stop,
which the paper draws apart from it; so the step of the estimate is always among the trained.
"""

from dataclasses import dataclass

import torch

from refl.objectives.backpropagate import GradientObjective
from refl.objectives.chain import Chain, Estimate, bounds, check_grad_steps, late_step
from rewardkit.diffusion.sampling import clean


@dataclass(frozen=True, kw_only=True)
class DRTune(GradientObjective):
    """Stop at a step that is drawn, and train steps up to it."""

    window: tuple[float, float] = (0.5, 1.0)
    """Shares of the chain between which the stop is drawn."""
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
