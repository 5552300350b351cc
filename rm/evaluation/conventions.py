"""How a pair counts as right: the conventions of published accuracies, by name, so that a figure can state it.

They differ in how a pair that people call a tie and equal scores count, and in whether the average is over pairs or
prompts. Each is a function of score differences and people's judgements; it returns one number per pair, how right the
scores are, and NaN if the pair does not count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from rm.evaluation.config import TieRule
from rm.evaluation.rankings import Difference, Truth

Right = Float[Tensor, " pairs"]
"""How right the scores are about a pair: 1, 0 or 0.5; NaN if the pair does not count."""

NAN = float("nan")


def strict(difference: Difference, truth: Truth) -> Right:
    """A tie is an answer like the other two: right if scores and people agree."""
    return (difference.sign() == truth).double()


def ties_excluded(difference: Difference, truth: Truth) -> Right:
    """Ties of people do not count; equal scores are half right."""
    return half_where_equal(difference, truth).masked_fill(truth == 0, NAN)


def ties_half(difference: Difference, truth: Truth) -> Right:
    """A tie, of people or of scores, is always half right."""
    return half_where_equal(difference, truth).masked_fill(truth == 0, 0.5)


def half_where_equal(difference: Difference, truth: Truth) -> Right:
    return strict(difference, truth).masked_fill(difference == 0, 0.5)


def imagereward(difference: Difference, truth: Truth) -> Right:
    """Ties of people do not count; equal scores are wrong (arXiv:2304.05977; `acc` of its test.py)."""
    return strict(difference, truth).masked_fill(truth == 0, NAN)


def hpsv2(difference: Difference, truth: Truth) -> Right:
    """Only an inversion is wrong, so a tie of either is right (arXiv:2306.09341; `inversion_score`).

    The original first sorts the scores into ranks, so that equal scores are decided by the sort order.
    """
    return (difference.sign() * truth >= 0).double()


def pickscore(difference: Difference, truth: Truth, threshold: float = 0.0) -> Right:
    """A tie is an answer: right if both give it, half if one does (arXiv:2305.01569; `calc_score`).

    Scores tie if |P(first) - P(second)| <= threshold, with P the softmax of the two scores.
    """
    answer = difference.sign().masked_fill((difference.double() / 2).tanh().abs() <= threshold, 0.0)
    same = (answer == truth).double()
    return same.masked_fill((answer == 0) ^ (truth == 0), 0.5)


def pickscore_trainer(difference: Difference, truth: Truth) -> Right:
    """Equal scores are wrong, and a tie of people is half right otherwise (the PickScore trainer's own validation)."""
    return strict(difference, truth).masked_fill(truth == 0, 0.5).masked_fill(difference == 0, 0.0)


@dataclass(frozen=True)
class Convention:
    """One way to count a judge's pairs."""

    judge: Callable[[Difference, Truth], Right]
    average: Literal["pairs", "prompts"]
    """pairs: every pair has the same weight; prompts: the mean over prompts of each prompt's mean."""
    words: str
    """Description for reports."""
    source: str
    """Who uses it."""


CONVENTIONS: dict[TieRule, Convention] = {
    "ties-excluded": Convention(
        ties_excluded, "pairs", "pairs labelled a tie are left out; equal scores count half", "rewardkit, the default"
    ),
    "ties-half": Convention(
        ties_half, "pairs", "pairs labelled a tie count half; equal scores count half", "rewardkit"
    ),
    "strict": Convention(
        strict,
        "pairs",
        "a pair labelled a tie is right only at equal scores, and equal scores are right only there",
        "rewardkit",
    ),
    "imagereward": Convention(
        imagereward,
        "pairs",
        "pairs labelled a tie are left out; equal scores are wrong",
        "ImageReward, arXiv:2304.05977",
    ),
    "hpsv2": Convention(
        hpsv2,
        "prompts",
        "only an inverted pair is wrong: a tie, of people or of scores, is right; mean over prompts",
        "HPS v2 on HPD v2, arXiv:2306.09341",
    ),
    "hpsv2-imagereward": Convention(
        imagereward,
        "prompts",
        "pairs labelled a tie are left out; equal scores are wrong; mean over prompts",
        "HPS v2 on ImageReward's test set, arXiv:2306.09341",
    ),
    "pickscore": Convention(
        pickscore,
        "pairs",
        "a tie is an answer: right if both give it, half if one does; scores tie within a threshold",
        "PickScore, arXiv:2305.01569",
    ),
    "pickscore-trainer": Convention(
        pickscore_trainer,
        "pairs",
        "equal scores are wrong; a pair labelled a tie is otherwise half right",
        "PickScore's trainer, in validation",
    ),
}


def best_threshold(difference: Difference, truth: Truth, steps: int = 10) -> float:
    """Choose the tie threshold of `pickscore` with the highest accuracy, of `steps` + 1 evenly spaced in [0, 1].

    Choose it on pairs other than the evaluated ones, as the paper does on its validation split.
    """
    grid = [step / steps for step in range(steps + 1)]
    means = torch.stack([pickscore(difference, truth, threshold).mean() for threshold in grid])
    return grid[int(means.argmax())]
