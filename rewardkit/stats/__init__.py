"""Figures with their intervals, and tests between them."""

from rewardkit.stats.intervals import (
    CONFIDENCE,
    Estimate,
    Numbers,
    WinRate,
    finite,
    mean_interval,
    paired,
    paired_difference,
    proportion_interval,
    ratio_interval,
    win_rate,
)
from rewardkit.stats.significance import holm, mcnemar

__all__ = [
    "CONFIDENCE",
    "Estimate",
    "Numbers",
    "WinRate",
    "finite",
    "holm",
    "mcnemar",
    "mean_interval",
    "paired",
    "paired_difference",
    "proportion_interval",
    "ratio_interval",
    "win_rate",
]
