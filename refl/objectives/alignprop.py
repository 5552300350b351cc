"""AlignProp (Prabhudesai et al. 2023, arXiv:2310.03739): a graph through the last K steps, for a random K.

A fixed number of late steps trains only the details of an image; a graph through all steps costs the most memory, and
its gradient can explode. A random truncation trains every step sometimes, with about half the passes on average. For a
given K it is DRaFT-K.
"""

from dataclasses import dataclass

import torch

from refl.objectives.backpropagate import GradientObjective
from refl.objectives.chain import Chain, Estimate, bounds
from refl.objectives.draft_k import DraftK


@dataclass(frozen=True, kw_only=True)
class AlignProp(GradientObjective):
    """Sample to the end; the first step with a graph is random in every update."""

    window: tuple[float, float] = (0.0, 1.0)
    """Range of the first step with a graph, as fractions of the chain; 0 and 1 in the paper."""
    kl: float = 0.0
    """The paper has no penalty."""

    def check(self, steps: int, batch_size: int, tune_text: bool) -> None:
        bounds(steps, self.window)

    def passes(self, steps: int) -> int:
        return steps - bounds(steps, self.window)[0]

    def estimate(self, chain: Chain) -> Estimate:
        return DraftK(grad_steps=depth(chain.steps, self.window, chain.random("depth"))).estimate(chain)


def depth(steps: int, window: tuple[float, float], generator: torch.Generator) -> int:
    """Sample the number of last steps with a graph, uniformly such that the first of them is in the window."""
    first, end = bounds(steps, window)
    return int(torch.randint(steps - end + 1, steps - first + 1, (), generator=generator, device=generator.device))
