"""Direct-Align (Shen et al. 2025, arXiv:2509.06942): noise that is known can be taken out again, at any level of it.

A finished image is noised with noise that we keep. One step from sigma down to sigma' carries the graph; what noise is
left is then `sigma' * noise`, exactly, so it is subtracted instead of guessed:
`x0 = (x_sigma' - sigma' * noise) / (1 - sigma')`. The estimate is sharp even from nearly pure noise, where one step of
ReFL is a blur, and so the early steps, which lay out the image, can be trained too. Written from the paper's idea.
Left out: its relative reward between two prompts, and its inversion branch (one step up instead of down).
"""

import torch

from refl.objectives.chain import Chain, Estimate, late_step
from rewardkit.diffusion.sampling import sample


def direct_align(chain: Chain, *, window: tuple[float, float]) -> Estimate:
    """Recover the image from one step drawn from `window`, shares of the chain; (0, 1) is all of it."""
    with torch.no_grad():
        drawn = sample(chain.prefix, chain.noise, chain.sigmas)
    step, generator = late_step(chain.steps, window, chain.random("window")), chain.random("renoise")
    sigma, lower = chain.sigmas[step], chain.sigmas[step + 1]
    known = chain.fresh(drawn, generator)
    grad_step = chain.grad_step((1 - sigma) * drawn + sigma * known, sigma)
    stepped = grad_step.noisy + (lower - sigma) * grad_step.velocity
    return Estimate((stepped - lower * known) / (1 - lower), [grad_step])
