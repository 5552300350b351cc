"""DRTune (Wu et al. 2024, arXiv:2405.00760): train early steps too, but never through the denoiser's input.

Of the steps up to an early stop, an even subset of K carries a graph. The denoiser sees its input detached, so that the
gradient flows along the sum of the steps and not through one network into the next: it cannot explode, and K passes
are all the memory it takes. The image is estimated at the stop at once. Ours: the subset is counted back from the stop,
which the paper draws apart from it; so the step of the estimate is always among the trained.
"""

import torch

from refl.objectives.chain import Chain, Estimate, late_step
from rewardkit.diffusion.sampling import clean


def drtune(chain: Chain, *, window: tuple[float, float], grad_steps: int) -> Estimate:
    """Stop at a step drawn from `window`, shares of the chain; `grad_steps` steps up to it are trained."""
    stop = late_step(chain.steps, window, chain.random("window"))
    apart = max(1, (stop + 1) // grad_steps)
    trained = set(range(stop, -1, -apart)[:grad_steps])
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
