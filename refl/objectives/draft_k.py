"""DRaFT-K (Clark et al. 2023, arXiv:2309.17400): a graph through the last K steps of the chain, each into the next."""

from dataclasses import dataclass

from refl.objectives.backpropagate import GradientObjective
from refl.objectives.chain import Chain, Estimate, check_grad_steps
from rewardkit.diffusion.sampling import sample


@dataclass(frozen=True, kw_only=True)
class DraftK(GradientObjective):
    """Sample to the end; memory grows only with the steps that have a graph."""

    grad_steps: int = 2
    """Steps with a graph, the paper's K."""
    kl: float = 0.0
    """A penalty would block late steps: at low noise a step changes the image little for the same velocity change."""

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        check_grad_steps(self.grad_steps, steps)

    def passes(self, steps: int) -> int:
        return self.grad_steps

    def estimate(self, chain: Chain) -> Estimate:
        first = chain.steps - self.grad_steps
        latents = sample(chain.prefix, chain.noise, chain.sigmas, stop=first)
        graph_steps = []
        for i in range(first, chain.steps):
            graph_steps.append(chain.grad_step(latents, chain.sigmas[i]))
            latents = latents + (chain.sigmas[i + 1] - chain.sigmas[i]) * graph_steps[-1].velocity
        return Estimate(latents, graph_steps)
