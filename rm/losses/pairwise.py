"""Losses on pairs of scores: Bradley-Terry with soft labels, and two models with a tie as a separate outcome."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rewardkit.types import Mask, PerImage, Scalar

MemberScores = Float[Tensor, "*members batch"]
"""Scores of images, (B,), or of every member of an ensemble, (members, B)."""


def bradley_terry(first: MemberScores, second: MemberScores, label: PerImage) -> Scalar:
    """Cross-entropy of P(first is better) = sigmoid(first - second) with a soft label (Bradley and Terry 1952).

    The loss of a tie is smallest at equal scores.
    """
    target, judged = filled(label)
    logits = first - second
    losses = F.binary_cross_entropy_with_logits(logits, target.expand_as(logits), reduction="none")
    return masked_mean(losses, judged)


def rao_kupper(first: MemberScores, second: MemberScores, label: PerImage, threshold: float) -> Scalar:
    """The Bradley-Terry loss with a tie as a separate outcome (Rao and Kupper 1967).

    P(first) = sigmoid(d - t) and P(second) = sigmoid(-d - t), where d is the difference of scores and t > 0 the
    threshold in units of the score; the rest is P(tie). A label of exactly 0.5 is a tie.
    """
    if threshold <= 0:
        raise ValueError(f"threshold must be positive, for a tie to have a probability; got {threshold}")
    difference = first - second
    win, loss = F.logsigmoid(difference - threshold), F.logsigmoid(-difference - threshold)
    # 1 - P(first) - P(second) = P(first) P(second) (e^(2t) - 1), which is accurate for large differences too.
    tie = win + loss + math.log(math.expm1(2 * threshold))
    return outcome_loss(win, loss, tie, label)


def davidson(first: MemberScores, second: MemberScores, label: PerImage, tie: float | Scalar) -> Scalar:
    """The Bradley-Terry loss with a tie as a separate outcome (Davidson 1970).

    P(first) : P(tie) : P(second) = e^(d/2) : tie : e^(-d/2), where d is the difference of scores; `tie` > 0 may be a
    tensor, and learned. Equal images tie with probability tie / (2 + tie), and given that there is no tie the model is
    Bradley-Terry's. A label of exactly 0.5 is a tie.
    """
    half = (first - second) / 2
    weight = torch.as_tensor(tie, dtype=half.dtype, device=half.device)
    if not bool(weight > 0):
        raise ValueError(f"tie must be positive, for a tie to have a probability; got {float(weight)}")
    win, tied, loss = torch.stack([half, weight.log().expand_as(half), -half]).log_softmax(0)
    return outcome_loss(win, loss, tied, label)


def outcome_loss(win: MemberScores, loss: MemberScores, tie: MemberScores, label: PerImage) -> Scalar:
    """Negative mean log-probability of the judgements, given those of the three outcomes."""
    target, judged = filled(label)
    return masked_mean(torch.where(target == 0.5, -tie, -(target * win + (1 - target) * loss)), judged)


def mismatch(own: MemberScores, other: MemberScores, weight: PerImage) -> Scalar:
    """Loss of an image's score with its own prompt against another prompt: -log sigmoid(own - other), weighted."""
    losses = (weight * -F.logsigmoid(own - other)).sum(-1) / weight.sum().clamp_min(1e-12)
    return losses.mean()


def filled(label: PerImage) -> tuple[Tensor, Tensor]:
    """Replace NaN labels by 0.5, so that no gradient is NaN; also return which were judged."""
    judged = ~label.isnan()
    return torch.where(judged, label, torch.full_like(label, 0.5)), judged


def masked_mean(values: MemberScores, mask: Mask) -> Scalar:
    """Mean over the masked values, then over the members of an ensemble, (members, B)."""
    return ((values * mask).sum(-1) / mask.sum().clamp_min(1)).mean()
