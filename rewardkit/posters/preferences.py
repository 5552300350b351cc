"""Preference labels from gold scores, with label noise of a known rate.

The first of two images is preferred with probability `sigmoid((g1 - g2) / T)` (Bradley-Terry) on each axis. Because `T`
is known, so is the accuracy of the best possible judge, the Bayes ceiling, with which a reward model is compared.
"""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from rewardkit.types import PerImage, Scores

INVISIBLE: Mapping[str, float] = {"alignment": 0.03, "aesthetic": 0.005, "text": 0.0}
"""Differences of gold up to this are a tie: they are measurement noise and invisible."""
TIE = 0.5


def ties(first: Scores, second: Scores, invisible: float = 0.0) -> Tensor:
    """Return which pairs are ties: a difference of gold of at most `invisible`."""
    return (first.double() - second.double()).abs() <= invisible + 1e-7


def probability(first: Scores, second: Scores, temperature: float) -> PerImage:
    """Probability that the first of each pair is preferred, `sigmoid((g1 - g2) / T)`."""
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0; got {temperature}")
    return torch.sigmoid((first.double() - second.double()) / temperature)


def draw_labels(
    first: Scores, second: Scores, temperature: float, generator: Generator, invisible: float = 0.0
) -> PerImage:
    """Sample a label for every pair: 1 if the first is preferred, 0 if the second is, 0.5 for a tie."""
    chosen = torch.bernoulli(probability(first, second, temperature), generator=generator)
    return torch.where(ties(first, second, invisible), TIE, chosen).float()


def bayes_accuracy(first: Scores, second: Scores, temperature: float, invisible: float = 0.0) -> float:
    """Expected accuracy of a judge that knows the gold: the mean of `max(p, 1 - p)` over the pairs without ties.

    NaN if every pair is a tie.
    """
    p = probability(first, second, temperature)[~ties(first, second, invisible)]
    return torch.maximum(p, 1 - p).mean().item()
