"""Losses of preference learning; `label` is P(first is better) in [0, 1], 0.5 a tie, NaN not judged.

Every loss is a mean over what was judged in a batch, and 0 (with a gradient of 0) when nothing was.
"""

from rm.losses.listwise import Lists, plackett_luce
from rm.losses.pairwise import MemberScores, bradley_terry, davidson, masked_mean, mismatch, rao_kupper
from rm.losses.uncertain import Gaussian, expected_preference, marginal_preference, sampled_preference

__all__ = [
    "Gaussian",
    "Lists",
    "MemberScores",
    "bradley_terry",
    "davidson",
    "expected_preference",
    "marginal_preference",
    "masked_mean",
    "mismatch",
    "plackett_luce",
    "rao_kupper",
    "sampled_preference",
]
