"""Pairwise accuracy, its tie rules named, and the best accuracy that noisy labels allow."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rewardkit.stats import Estimate, proportion_interval
from rewardkit.types import PerImage, Scores

TieRule = Literal["ties-excluded", "ties-half", "strict"]

Judged = Float[Tensor, " judged"]
"""One number a pair that counts."""

TIE_RULES: dict[TieRule, str] = {
    "ties-excluded": "pairs labelled a tie are left out; equal scores count half",
    "ties-half": "pairs labelled a tie count half, whatever the scores; equal scores count half",
    "strict": "a pair labelled a tie is right only at equal scores, and equal scores are right only there",
}
"""What each rule does, in words for the reader of a figure."""


def agreement(first: Scores, second: Scores, label: PerImage, rule: TieRule = "ties-excluded") -> Judged:
    """Say of each judged pair how right the scores are: 1, 0, or 0.5; the pairs a rule leaves out are gone.

    A soft label counts as its likelier side.
    """
    keep = ~label.isnan()
    if rule == "ties-excluded":
        keep &= label != 0.5
    ours, theirs = torch.sign((first - second)[keep]), torch.sign((label - 0.5)[keep])
    if rule == "strict":
        return (ours == theirs).double()
    right = (ours == theirs).double()
    return torch.where((ours == 0) | (theirs == 0), torch.full_like(right, 0.5), right)


def accuracy(first: Scores, second: Scores, label: PerImage, rule: TieRule = "ties-excluded") -> Estimate:
    """The share of judged pairs whose better image scores higher, with its 95 % interval and n."""
    right = agreement(first, second, label, rule)
    return proportion_interval(float(right.sum()), len(right))


def bayes_ceiling(first: Scores, second: Scores, temperature: float) -> float:
    """The best accuracy against labels drawn with P(first) = sigmoid((first - second) / temperature) of gold scores."""
    probability = torch.sigmoid((first.double() - second.double()) / temperature)
    return float(torch.maximum(probability, 1 - probability).mean())
