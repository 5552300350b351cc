"""DRaFT-LV (Clark et al. 2023, arXiv:2309.17400): only the last step, its gradient averaged over several noises.

An image is generated, then re-noised `noises` times to the level of the last step: the gradient of K = 1 with
less variance, at the cost of a few passes instead of a few chains.
"""

from dataclasses import dataclass

import torch

from refl.objectives.backpropagate import GradientObjective
from refl.objectives.chain import Chain, Estimate, check_noises
from rewardkit.diffusion.sampling import clean, sample


@dataclass(frozen=True, kw_only=True)
class DraftLv(GradientObjective):
    """Estimate every image several times, round after round of the batch."""

    noises: int = 2
    """Estimates per image."""
    kl: float = 0.0
    """A penalty would block the last step, as for draft-k."""

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        check_noises(self.noises)

    def passes(self, steps: int) -> int:
        return self.noises

    def estimate(self, chain: Chain) -> Estimate:
        with torch.no_grad():
            drawn = sample(chain.prefix, chain.noise, chain.sigmas)
        generator, sigma = chain.random("renoise"), chain.sigmas[-2]
        graph_steps = []
        for _ in range(self.noises):
            fresh = chain.fresh(drawn, generator)
            graph_steps.append(chain.grad_step((1 - sigma) * drawn + sigma * fresh, sigma))
        latents = torch.cat([clean(each.noisy, each.sigma, each.velocity) for each in graph_steps])
        return Estimate(latents, graph_steps)
