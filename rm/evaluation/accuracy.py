"""Pairwise accuracy under a named convention, with its interval, and the best accuracy that noisy labels allow."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rewardkit.stats import Estimate, proportion_interval, ratio_interval
from rewardkit.types import PerImage, Scores
from rm.evaluation.config import TieRule
from rm.evaluation.conventions import CONVENTIONS, Convention, Right
from rm.evaluation.rankings import Pairs, Places

Judged = Float[Tensor, " judged"]
"""One number per counted pair."""

Sums = Float[Tensor, " groups"]
"""One number per group of pairs."""

TIE_RULES: dict[TieRule, str] = {name: convention.words for name, convention in CONVENTIONS.items()}
"""Description of each rule for reports."""


def agreement(first: Scores, second: Scores, label: PerImage, rule: TieRule = "ties-excluded") -> Judged:
    """Return for each judged pair how right the scores are: 1, 0, or 0.5; pairs that a rule leaves out are removed.

    A soft label is rounded to the majority.
    """
    known = ~label.isnan()
    right = CONVENTIONS[rule].judge((first - second)[known], (label - 0.5)[known].sign())
    return right[~right.isnan()]


def accuracy(first: Scores, second: Scores, label: PerImage, rule: TieRule = "ties-excluded") -> Estimate:
    """The fraction of judged pairs whose better image scores higher, with its 95 % interval and n."""
    right = agreement(first, second, label, rule)
    return proportion_interval(float(right.sum()), len(right))


@dataclass(frozen=True)
class Accuracy(Estimate):
    """A fraction of right pairs, with the number of groups (prompts) they come from."""

    groups: int


def measure(pairs: Pairs, convention: Convention, generator: torch.Generator, draws: int = 2000) -> Accuracy:
    """Average how right the scores are under the convention; the interval resamples groups, so that pairs of one
    prompt are not treated as independent. `n` counts the pairs.

    If all groups have the same value, the interval is Wilson's on the groups.
    """
    right = convention.judge(pairs.difference, pairs.truth)
    total, count = by_group(right, pairs, convention)
    counted = int((~right.isnan()).sum())
    found = ratio_interval(total, count, generator, draws)
    if found.low == found.high:
        found = proportion_interval(found.value * found.n, found.n)
    return Accuracy(found.value, found.low, found.high, counted, found.n)


def by_group(right: Right, pairs: Pairs, convention: Convention) -> tuple[Sums, Sums]:
    """Sum by group: right pairs and all pairs (or listings, if the convention averages those).

    The convention's average is the ratio of the two sums. Groups without a counted pair are removed.
    """
    counts = (~right.isnan()).double()
    total, group = right.nan_to_num(), pairs.group
    if convention.average == "prompts":
        total, counts = sums(total, pairs.listing), sums(counts, pairs.listing)
        total, counts = total / counts.clamp_min(1), (counts > 0).double()
        # A listing is in one group, so any of its pairs names it.
        group = torch.zeros(len(total), dtype=torch.long).scatter(0, pairs.listing, pairs.group)
    total, counts = sums(total, group), sums(counts, group)
    return total[counts > 0], counts[counts > 0]


def sums(values: Float[Tensor, " items"], place: Places) -> Sums:
    size = int(place.max()) + 1 if len(place) else 0
    return values.new_zeros(size).index_add(0, place, values)


def bayes_ceiling(first: Scores, second: Scores, temperature: float) -> float:
    """The best accuracy for labels sampled with P(first) = sigmoid((first - second) / temperature) of gold scores."""
    probability = torch.sigmoid((first.double() - second.double()) / temperature)
    return float(torch.maximum(probability, 1 - probability).mean())
