"""Losses of preference learning; `label` is P(first is better) in [0, 1], 0.5 a tie, NaN not judged.

Every loss is a mean over the judged pairs of a batch, and 0 (with a gradient of 0) when none is judged.
"""

import math

import torch
from torch.nn import functional as F

from rewardkit.types import Mask, PerImage, Scalar, Scores


def bradley_terry(first: Scores, second: Scores, label: PerImage) -> Scalar:
    """Cross-entropy of P(first is better) = sigmoid(first - second) with a soft label (Bradley and Terry 1952).

    A tie pulls the two scores together: its least loss is at equal scores.
    """
    judged = ~label.isnan()
    target = torch.where(judged, label, torch.full_like(label, 0.5))
    losses = F.binary_cross_entropy_with_logits(first - second, target, reduction="none")
    return masked_mean(losses, judged)


def rao_kupper(first: Scores, second: Scores, label: PerImage, threshold: float) -> Scalar:
    """The Bradley-Terry loss with a tie as an outcome of its own (Rao and Kupper 1967).

    P(first) = sigmoid(d - t) and P(second) = sigmoid(-d - t), where d is the difference of scores and t > 0 the
    threshold in units of the score; what is left is P(tie). A label of exactly 0.5 is a tie.
    """
    if threshold <= 0:
        raise ValueError(f"threshold must be positive, for a tie to have a probability; got {threshold}")
    difference = first - second
    win, loss = F.logsigmoid(difference - threshold), F.logsigmoid(-difference - threshold)
    # 1 - P(first) - P(second) = P(first) P(second) (e^(2t) - 1), which keeps its digits far from zero too.
    tie = win + loss + math.log(math.expm1(2 * threshold))
    judged = ~label.isnan()
    target = torch.where(judged, label, torch.full_like(label, 0.5))
    losses = torch.where(target == 0.5, -tie, -(target * win + (1 - target) * loss))
    return masked_mean(losses, judged)


def mismatch(own: Scores, other: Scores, weight: PerImage) -> Scalar:
    """Ask that an image score higher with its own prompt than with another's: -log sigmoid(own - other), weighted."""
    return (weight * -F.logsigmoid(own - other)).sum() / weight.sum().clamp_min(1e-12)


def masked_mean(values: PerImage, mask: Mask) -> Scalar:
    return (values * mask).sum() / mask.sum().clamp_min(1)
