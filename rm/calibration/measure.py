"""Calibration of scores: a monotone map to the 1-5 scale of ratings, and calibrated probabilities."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rewardkit.rewards.calibration import Scale

LOWEST, HIGHEST = 1.0, 5.0
"""The ends of the scale used in reports."""

Probability = Float[Tensor, " pairs"]
"""P(the first image is better)."""

Outcome = Float[Tensor, " pairs"]
"""1 if the first image was preferred, 0 if the second was."""


def fit_scale(scores: Sequence[float], ratings: Sequence[float]) -> Scale:
    """Fit the monotone map of least squared error: isotonic regression with lines between the centres of its steps.

    Raises `ValueError` for lists of unequal length, or empty lists.
    """
    from scipy.optimize import isotonic_regression  # takes a while to import

    if len(scores) != len(ratings) or not len(scores):
        raise ValueError(
            f"need one rating per score, and at least one; got {len(scores)} scores, {len(ratings)} ratings"
        )
    raw, place, count = np.unique(np.asarray(scores, float), return_inverse=True, return_counts=True)
    mean = np.bincount(place, weights=np.asarray(ratings, float)) / count  # equal scores get one rating
    fitted = isotonic_regression(mean, weights=count)
    edges = fitted.blocks
    centres = np.add.reduceat(raw * count, edges[:-1]) / np.add.reduceat(count, edges[:-1])
    return Scale(tuple(centres.tolist()), tuple(fitted.x[edges[:-1]].tolist()))


def to_scale(ratings: Sequence[float], low: float, high: float) -> list[float]:
    """Map ratings between `low` and `high` to 1-5; raise `ValueError` naming a rating outside."""
    outside = [rating for rating in ratings if not low <= rating <= high]
    if outside:
        raise ValueError(f"a rating is {outside[0]:g}; the scale is from {low:g} to {high:g}")
    return [LOWEST + (rating - low) / (high - low) * (HIGHEST - LOWEST) for rating in ratings]


def temperature(difference: Float[Tensor, " pairs"], outcome: Outcome) -> float:
    """Fit T so that sigmoid(difference / T) has the least log loss (arXiv:1706.04599); within [1e-4, 1e4]."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda power: float(log_loss(difference / 10**power, outcome).mean()), bounds=(-4, 4), method="bounded"
    )
    return float(10**found.x)


def log_loss(logit: Float[Tensor, " pairs"], outcome: Outcome) -> Float[Tensor, " pairs"]:
    """Cross-entropy of each pair, in nats; log 2 is chance level."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logit.double(), outcome.double(), reduction="none")


@dataclass(frozen=True)
class Bin:
    """Pairs with about the same confidence of the judge."""

    confidence: float
    """Mean probability of the image that the judge prefers, 0.5 to 1."""
    accuracy: float
    """How often people preferred it too."""
    n: int


def reliability(probability: Probability, outcome: Outcome, bins: int = 10) -> list[Bin]:
    """Sort pairs by the judge's confidence into bins of about equal size.

    The order within a pair does not matter, so a pair counts as a statement about the image that the judge prefers;
    equal scores are a statement that is half right.
    """
    confidence = torch.maximum(probability, 1 - probability)
    right = torch.where(probability >= 0.5, outcome, 1 - outcome).masked_fill(probability == 0.5, 0.5)
    order = confidence.argsort()
    parts = [part for part in order.tensor_split(min(bins, max(1, len(order)))) if len(part)]
    return [Bin(float(confidence[part].mean()), float(right[part].mean()), len(part)) for part in parts]


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: the mean distance of confidence and accuracy, bins weighted by their pairs.

    Noise alone makes it positive: see `debiased_error`.
    """
    total = sum(one.n for one in bins)
    return sum(one.n * abs(one.confidence - one.accuracy) for one in bins) / total if total else math.nan


def debiased_error(bins: Sequence[Bin]) -> float:
    """Root mean squared calibration error minus the part that noise explains (arXiv:1909.10155); at least 0."""
    total = sum(one.n for one in bins)
    squares = sum(
        one.n * ((one.confidence - one.accuracy) ** 2 - one.accuracy * (1 - one.accuracy) / max(1, one.n - 1))
        for one in bins
    )
    return math.sqrt(max(0.0, squares / total)) if total else math.nan
