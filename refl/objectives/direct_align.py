"""Direct-Align (Shen et al. 2025, arXiv:2509.06942): known noise can be removed exactly, at any noise level.

A finished image is noised with noise that we keep. One step from sigma down to sigma' has the graph; the remaining
noise is then exactly `sigma' * noise`, so it is subtracted instead of estimated:
`x0 = (x_sigma' - sigma' * noise) / (1 - sigma')`. The estimate is sharp even from nearly pure noise, where one step of
ReFL gives a blur, so early steps, which determine the layout, can be trained too. Implemented from the paper.
Not implemented: its relative reward between two prompts, and its inversion branch (one step up instead of down).
"""

from dataclasses import dataclass

import torch

from refl.objectives.backpropagate import GradientObjective
from refl.objectives.chain import Chain, Estimate, bounds, late_step
from rewardkit.diffusion.sampling import sample


@dataclass(frozen=True, kw_only=True)
class DirectAlign(GradientObjective):
    """Recover the image from one step."""

    window: tuple[float, float] = (0.0, 1.0)
    """Range of the step, as fractions of the chain."""

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        bounds(steps, self.window)

    def passes(self, steps: int) -> int:
        return 1

    def estimate(self, chain: Chain) -> Estimate:
        with torch.no_grad():
            drawn = sample(chain.prefix, chain.noise, chain.sigmas)
        step, generator = late_step(chain.steps, self.window, chain.random("window")), chain.random("renoise")
        sigma, lower = chain.sigmas[step], chain.sigmas[step + 1]
        known = chain.fresh(drawn, generator)
        grad_step = chain.grad_step((1 - sigma) * drawn + sigma * known, sigma)
        stepped = grad_step.noisy + (lower - sigma) * grad_step.velocity
        return Estimate((stepped - lower * known) / (1 - lower), [grad_step])
