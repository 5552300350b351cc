"""Many judges on one set: accuracies, rank correlation, categories, paired tests and agreement."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from rewardkit.stats import Estimate, holm, mcnemar, mean_interval, ratio_interval
from rm.evaluation.accuracy import Accuracy, by_group, measure
from rm.evaluation.config import TieRule
from rm.evaluation.conventions import Convention
from rm.evaluation.rankings import Pairs, Ranking, pairs_of

Conventions = Mapping[TieRule, Convention]


@dataclass(frozen=True)
class Standing:
    """One judge on one set."""

    name: str
    accuracy: Mapping[TieRule, Accuracy]
    spearman: Estimate
    kendall: Estimate
    """Tau-b; both correlations are within a prompt, averaged over prompts with three images or more."""
    categories: Mapping[str, Mapping[str, Accuracy]]
    """Kind -> value -> accuracy under the first convention."""


@dataclass(frozen=True)
class Match:
    """Two judges on the pairs that both judged."""

    first: str
    second: str
    difference: Estimate
    """Accuracy of the first minus that of the second; the interval resamples prompts."""
    only_first: int
    """Pairs that the first gets more right than the second; half right, if the convention has it, is in between."""
    only_second: int
    p: float
    """McNemar's exact two-sided p; it treats pairs as independent, which pairs of one prompt are not quite."""
    adjusted: float
    """The same after Holm's correction for all matches of the set."""


@dataclass(frozen=True)
class Comparison:
    """All judges of one set on one axis, the most accurate first."""

    source: str
    axis: str
    standings: Sequence[Standing]
    matches: Sequence[Match]
    agreement: Sequence[Sequence[float | None]]
    """How often two judges, in the order of the standings, prefer the same image; equal scores count half."""


def compare(
    source: str,
    axis: str,
    judges: Mapping[str, Sequence[Ranking]],
    conventions: Conventions,
    generator: torch.Generator,
    draws: int = 2000,
) -> Comparison:
    """Evaluate every judge, and every two judges on their common pairs; the first convention ranks and tests."""
    first = next(iter(conventions.values()))
    standings = [standing(name, judges[name], conventions, generator, draws) for name in judges]
    leading = next(iter(conventions))
    standings.sort(key=lambda one: -np.nan_to_num(one.accuracy[leading].value, nan=-1.0))
    names = [one.name for one in standings]
    matches = [match(a, b, judges, first, generator, draws) for a, b in combinations(names, 2)]
    adjusted = holm([one[-1] for one in matches])
    return Comparison(
        source,
        axis,
        standings,
        [Match(*one, corrected) for one, corrected in zip(matches, adjusted, strict=True)],
        [[None if a == b else same_choice(judges[a], judges[b]) for b in names] for a in names],
    )


def standing(
    name: str, rankings: Sequence[Ranking], conventions: Conventions, generator: torch.Generator, draws: int
) -> Standing:
    """Evaluate one judge under every convention, in every category, and by rank correlation."""
    pairs = pairs_of(rankings)
    first = next(iter(conventions.values()))
    return Standing(
        name,
        {rule: measure(pairs, convention, generator, draws) for rule, convention in conventions.items()},
        correlation(rankings, "spearmanr"),
        correlation(rankings, "kendalltau"),
        {
            kind: {value: measure(pairs_of(some), first, generator, draws) for value, some in values.items()}
            for kind, values in by_category(rankings).items()
        },
    )


def by_category(rankings: Sequence[Ranking]) -> dict[str, dict[str, list[Ranking]]]:
    """Group rankings by every kind of category with two or more values."""
    found: dict[str, dict[str, list[Ranking]]] = {}
    for one in rankings:
        for kind, value in one.categories.items():
            found.setdefault(kind, {}).setdefault(value, []).append(one)
    return {kind: dict(sorted(values.items())) for kind, values in found.items() if len(values) > 1}


def correlation(rankings: Sequence[Ranking], method: str) -> Estimate:
    """Average a rank correlation within prompts over groups; lists of two and lists of only ties are skipped."""
    from scipy import stats  # takes a while to import

    measured: Callable[..., tuple[float, float]] = getattr(stats, method)
    groups: dict[str, list[float]] = {}
    for one in rankings:
        if len(one.ranks) < 3 or len(set(one.ranks)) == 1:
            continue
        flat = len(set(one.scores)) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # about few values: only the coefficient is used
            value = 0.0 if flat else float(measured(one.scores, [-rank for rank in one.ranks])[0])
        groups.setdefault(one.group, []).append(value)
    return mean_interval([float(np.mean(values)) for values in groups.values()])


def shared(first: Sequence[Ranking], second: Sequence[Ranking]) -> tuple[Pairs, Pairs]:
    """Take the pairs of the rankings that both judges have, in the same order."""
    theirs = {one.key: one for one in second}
    both = [(one, theirs[one.key]) for one in first if one.key in theirs and theirs[one.key].ranks == one.ranks]
    return pairs_of(one for one, _ in both), pairs_of(other for _, other in both)


def match(
    first: str,
    second: str,
    judges: Mapping[str, Sequence[Ranking]],
    convention: Convention,
    generator: torch.Generator,
    draws: int,
) -> tuple[str, str, Estimate, int, int, float]:
    """Compare two judges: the fields of a `Match` up to p."""
    ours, theirs = shared(judges[first], judges[second])
    mine, other = (convention.judge(pairs.difference, pairs.truth) for pairs in (ours, theirs))
    gain, count = by_group(mine - other, ours, convention)  # NaN (not counted) if people tie, for both judges
    difference = ratio_interval(gain, count, generator, draws)
    only_first, only_second = (int((a > b).sum()) for a, b in ((mine, other), (other, mine)))
    return first, second, difference, only_first, only_second, mcnemar(only_first, only_second)


def same_choice(first: Sequence[Ranking], second: Sequence[Ranking]) -> float | None:
    """Return how often two judges prefer the same image of a pair; None without a common pair."""
    ours, theirs = shared(first, second)
    if not len(ours):
        return None
    product = ours.difference.sign() * theirs.difference.sign()
    both_equal = (ours.difference == 0) & (theirs.difference == 0)
    return float(torch.where(both_equal, torch.ones_like(product), (1 + product) / 2).mean())
