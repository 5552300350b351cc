"""DRaFT-LV (Clark et al. 2023, arXiv:2309.17400): the last step alone, its gradient averaged over several noises.

One image is drawn whole, then noised again to the level of the last step as often as asked: the gradient of K = 1 with
less variance, for the price of a few passes and not of a few chains.
"""

import torch

from refl.objectives.chain import Chain, Estimate
from rewardkit.diffusion.sampling import clean, sample


def draft_lv(chain: Chain, *, noises: int) -> Estimate:
    """Estimate every image `noises` times, round after round of the batch."""
    with torch.no_grad():
        drawn = sample(chain.prefix, chain.noise, chain.sigmas)
    generator, sigma = chain.random("renoise"), chain.sigmas[-2]
    graph_steps = []
    for _ in range(noises):
        fresh = chain.fresh(drawn, generator)
        graph_steps.append(chain.grad_step((1 - sigma) * drawn + sigma * fresh, sigma))
    return Estimate(torch.cat([clean(each.noisy, each.sigma, each.velocity) for each in graph_steps]), graph_steps)
