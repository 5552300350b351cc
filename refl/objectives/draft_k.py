"""DRaFT-K (Clark et al. 2023, arXiv:2309.17400): a graph through the last K steps of the chain, each into the next."""

from refl.objectives.chain import Chain, Estimate
from rewardkit.diffusion.sampling import sample


def draft_k(chain: Chain, *, grad_steps: int) -> Estimate:
    """Sample to the end; memory grows with `grad_steps`, the paper's K, and never with the steps before."""
    first = chain.steps - grad_steps
    latents = sample(chain.prefix, chain.noise, chain.sigmas, stop=first)
    graph_steps = []
    for i in range(first, chain.steps):
        graph_steps.append(chain.grad_step(latents, chain.sigmas[i]))
        latents = latents + (chain.sigmas[i + 1] - chain.sigmas[i]) * graph_steps[-1].velocity
    return Estimate(latents, graph_steps)
