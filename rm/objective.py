"""The training objective: the loss of every axis on some pairs, or on some rank lists."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from rewardkit.types import PerImage, Scalar
from rm.features import PairFeatures
from rm.heads import Features
from rm.image_cache import Rows
from rm.lists import ListFeatures, There
from rm.losses import (
    Gaussian,
    Lists,
    MemberScores,
    bradley_terry,
    davidson,
    marginal_preference,
    plackett_luce,
    rao_kupper,
)
from rm.model import PROMPT_AXES, RewardModel
from rm.names import Loss
from rm.negatives import mismatch_loss, wrong_prompt_loss

Labels = Float[Tensor, " pairs"]
"""P(first is better) of each pair; its images are twice as many."""


@runtime_checkable
class Objective(Protocol):
    """Examples, and the losses of a model on some of them."""

    def __len__(self) -> int: ...

    def judged(self, rows: Rows) -> dict[str, float]:
        """Count the judgements of every axis over which the loss on some examples is averaged."""
        ...

    def losses(self, model: RewardModel, rows: Rows, generator: Generator) -> dict[str, Scalar]:
        """Compute the loss of every axis on some examples; one encoding serves all heads."""
        ...


@dataclass
class Pairs:
    """Pairs under a loss on two scores, or on two Gaussians."""

    pairs: PairFeatures
    loss: Loss
    tie_probability: float
    mismatch: float

    def __len__(self) -> int:
        return len(self.pairs)

    def judged(self, rows: Rows) -> dict[str, float]:
        return {axis: float((~label[rows].isnan()).sum()) for axis, label in self.pairs.labels.items()}

    def losses(self, model: RewardModel, rows: Rows, generator: Generator) -> dict[str, Scalar]:
        features = self.pairs.batch(rows, generator)
        found = {}
        for axis in model.axes:
            label = self.pairs.labels[axis][rows].to(features.pooled.device)
            scores, found[axis] = self.judge(model, axis, features, label)
            if self.mismatch and axis in PROMPT_AXES:
                extra = mismatch_loss(model, axis, features, scores, label, generator)
                found[axis] = found[axis] + self.mismatch * extra
        return found

    def judge(self, model: RewardModel, axis: str, features: Features, label: Labels) -> tuple[MemberScores, Scalar]:
        """Return the scores of the images, and the loss of the judgements."""
        if self.loss == "gaussian":
            found = model.gaussians(features, (axis,))[axis]
            means, spreads = found.mean.chunk(2, -1), found.log_variance.chunk(2, -1)
            first, second = Gaussian(means[0], spreads[0]), Gaussian(means[1], spreads[1])
            return found.mean, marginal_preference(first, second, label)
        scores = model.judge(features, (axis,))[axis]
        ones, others = scores.chunk(2, -1)
        return scores, pair_loss(self.loss, self.tie_probability)(ones, others, label)


def pair_loss(loss: Loss, tie_probability: float) -> Callable[[MemberScores, MemberScores, PerImage], Scalar]:
    """The loss on two scores; in the models with ties, equal images tie with `tie_probability`."""
    match loss:
        case "rao-kupper":
            return partial(rao_kupper, threshold=math.log((1 + tie_probability) / (1 - tie_probability)))
        case "davidson":
            return partial(davidson, tie=2 * tie_probability / (1 - tie_probability))
        case _:
            return bradley_terry


@dataclass
class RankLists:
    """Rank lists under Plackett-Luce."""

    lists: ListFeatures
    mismatch: float

    def __len__(self) -> int:
        return len(self.lists)

    def judged(self, rows: Rows) -> dict[str, float]:
        counts = {axis: (~ranks[rows].isnan()).sum(1) for axis, ranks in self.lists.ranks.items()}
        return {axis: float((count - 1).clamp_min(0).sum()) for axis, count in counts.items()}

    def losses(self, model: RewardModel, rows: Rows, generator: Generator) -> dict[str, Scalar]:
        features, there = self.lists.batch(rows, generator)
        there = there.to(features.pooled.device)
        found = {}
        for axis, scores in model.judge(features).items():
            ranks = self.lists.ranks[axis][rows].to(scores.device)
            members = [scores.new_zeros(ranks.shape).masked_scatter(there, one) for one in torch.atleast_2d(scores)]
            found[axis] = torch.stack([plackett_luce(one, ranks) for one in members]).mean()
            if self.mismatch and axis in PROMPT_AXES:
                best, judged = best_images(ranks, there)
                extra = wrong_prompt_loss(model, axis, features, scores, best, judged, generator)
                found[axis] = found[axis] + self.mismatch * extra
        return found


def best_images(ranks: Lists, there: There) -> tuple[Rows, Bool[Tensor, " lists"]]:
    """Return the index of each list's best image, and whether the list was judged."""
    place = there.flatten().cumsum(0).view_as(there) - 1
    best = ranks.nan_to_num(math.inf).argmin(1, keepdim=True)
    return place.gather(1, best).squeeze(1), (~ranks.isnan()).sum(1) > 1
