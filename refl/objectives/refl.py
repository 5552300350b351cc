"""ReFL for rectified flow (Xu et al. 2023, arXiv:2304.05977): a graph at one random late step.

Sample without a graph down to a late step m, take that one step with a graph, and estimate the image behind it at once:
`x0 = x - sigma * v`. The steps after m are never computed. Its pre-training loss is `refl.pretrain`.
"""

from refl.objectives.chain import Chain, Estimate, late_step
from rewardkit.diffusion.sampling import clean, sample


def refl(chain: Chain, *, window: tuple[float, float]) -> Estimate:
    """Estimate the image from a step drawn from `window`, shares of the chain (the paper's are 0.75 to 1)."""
    late = late_step(chain.steps, window, chain.random("window"))
    noisy = sample(chain.prefix, chain.noise, chain.sigmas, stop=late)
    grad_step = chain.grad_step(noisy, chain.sigmas[late])
    return Estimate(clean(noisy, grad_step.sigma, grad_step.velocity), [grad_step])
