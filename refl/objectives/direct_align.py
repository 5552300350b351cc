"""Direct-Align (Shen et al. 2025, arXiv:2509.06942): noise that is known can be taken out again, at any level of it.

A finished image is noised with noise that we keep. One step from sigma down to sigma' carries the graph; what noise is
left is then `sigma' * noise`, exactly, so it is subtracted instead of guessed:
`x0 = (x_sigma' - sigma' * noise) / (1 - sigma')`. The estimate is sharp even from nearly pure noise, where one step of
ReFL is a blur, and so the early steps, which lay out the image, can be trained too. Written from the paper's idea.
Left out: its relative reward between two prompts, and its inversion branch (one step up instead of down).
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
    """Shares of the chain between which the step is drawn."""

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
