"""ReFL for rectified flow (Xu et al. 2023, arXiv:2304.05977): a graph at one random late step.

Sample without a graph down to a late step m, take that step with a graph, and estimate the image directly:
`x0 = x - sigma * v`. The steps after m are never computed. Its pre-training loss is `refl.pretrain`.
"""

from dataclasses import dataclass

from refl.objectives.backpropagate import GradientObjective
from refl.objectives.chain import Chain, Estimate, bounds, late_step
from rewardkit.diffusion.sampling import clean, sample


@dataclass(frozen=True, kw_only=True)
class Refl(GradientObjective):
    """Estimate the image from one step of the chain."""

    window: tuple[float, float] = (0.2, 0.8)
    """Range of the step, as fractions of the chain; 0.75 and 1 in the paper."""

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        bounds(steps, self.window)

    def passes(self, steps: int) -> int:
        return 1

    def estimate(self, chain: Chain) -> Estimate:
        late = late_step(chain.steps, self.window, chain.random("window"))
        noisy = sample(chain.prefix, chain.noise, chain.sigmas, stop=late)
        grad_step = chain.grad_step(noisy, chain.sigmas[late])
        return Estimate(clean(noisy, grad_step.sigma, grad_step.velocity), [grad_step])
