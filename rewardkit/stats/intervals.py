"""Means, paired differences, proportions, ratios and win rates, each with its 95 % interval and its n.

A figure means little without its interval and its n, so the functions return all of them together. The prompts
are the sample: pass one number per prompt (average the images of a prompt first).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit
from torch import Tensor

CONFIDENCE = 0.95
Numbers = Sequence[float] | Sequence[int] | NDArray[Any] | Tensor
"""A list of numbers."""


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval, and the number of observations behind it.

    With one observation or none the interval is `(-inf, inf)`; the value of an empty sample is NaN.
    """

    value: float
    low: float
    high: float
    n: int

    @property
    def differs_from_zero(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class WinRate(Estimate):
    """The fraction of prompts won, counting a tie as half; `n = wins + ties + losses`."""

    wins: int
    ties: int
    losses: int


def mean_interval(values: Numbers) -> Estimate:
    """Estimate a mean, with Student's t interval: exact for normal values, close for about 30 or more of others."""
    sample = finite(values)
    n = len(sample)
    if n < 2:
        return Estimate(float(sample[0]) if n else math.nan, -math.inf, math.inf, n)
    mean = float(sample.mean())
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2) * sample.std(ddof=1) / math.sqrt(n))
    return Estimate(mean, mean - half, mean + half, n)


def paired_difference(before: Numbers, after: Numbers) -> Estimate:
    """Estimate the mean of the paired differences `after - before`: effects of the shared prompt and noise cancel."""
    first, second = paired(before, after)
    return mean_interval(second - first)


def proportion_interval(successes: float | int, n: int) -> Estimate:
    """Estimate a proportion `successes / n` with Wilson's interval, which stays inside [0, 1] and is valid at 0 and 1.

    A fraction of a success is allowed (a tie counts half).
    """
    if n < 0 or not 0 <= successes <= n:
        raise ValueError(f"successes must be between 0 and n; got {successes} of {n}")
    if n == 0:
        return Estimate(math.nan, -math.inf, math.inf, 0)
    z = float(ndtri((1 + CONFIDENCE) / 2))
    share, spread = successes / n, z * z / n
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n + spread / (4 * n))
    return Estimate(share, max(0.0, centre - half), min(1.0, centre + half), n)


def win_rate(ours: Numbers, theirs: Numbers) -> WinRate:
    """Estimate how often `ours` beats `theirs` on the same prompt, counting ties as half.

    The interval is Wilson's on wins plus half the ties, which is slightly too wide when there are ties.
    """
    first, second = paired(ours, theirs)
    wins, losses = int((first > second).sum()), int((first < second).sum())
    ties = len(first) - wins - losses
    share = proportion_interval(wins + ties / 2, len(first))
    return WinRate(share.value, share.low, share.high, share.n, wins, ties, losses)


def ratio_interval(totals: Numbers, counts: Numbers, generator: torch.Generator, draws: int = 2000) -> Estimate:
    """Estimate `sum(totals) / sum(counts)` over clusters of unequal size, by resampling whole clusters.

    The interval is the percentile bootstrap's; `n` counts the clusters.
    """
    total, count = paired(totals, counts)
    n = len(total)
    if n < 2:
        return Estimate(float(total[0] / count[0]) if n else math.nan, -math.inf, math.inf, n)
    ratios = []
    step = max(1, 2_000_000 // n)  # draw in blocks, so that memory does not grow with the sample
    for start in range(0, draws, step):
        drawn = torch.randint(n, (min(step, draws - start), n), generator=generator).numpy()
        ratios.append(total[drawn].sum(1) / count[drawn].sum(1))
    low, high = np.quantile(np.concatenate(ratios), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(total.sum() / count.sum()), float(low), float(high), n)


def paired(first: Numbers, second: Numbers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left, right = finite(first), finite(second)
    if len(left) != len(right):
        raise ValueError(f"pairs need two lists of equal length; got {len(left)} and {len(right)}")
    return left, right


def finite(values: Numbers) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ValueError(f"a sample is one list of numbers; got shape {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError(
            f"every observation must be a finite number; number {int((~np.isfinite(sample)).argmax())} is not"
        )
    return sample
