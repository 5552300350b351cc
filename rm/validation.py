"""Validation on pairs: scores of both images, accuracy and loss by axis."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rewardkit.stats import Estimate
from rewardkit.training.processes import ALONE, Processes
from rewardkit.types import Scores
from rm.evaluation.accuracy import accuracy
from rm.features import PairFeatures
from rm.heads import Features
from rm.image_cache import chunks
from rm.losses import bradley_terry
from rm.model import RewardModel


@dataclass(frozen=True)
class Validation:
    """Metrics of an axis on held-out pairs."""

    accuracy: Estimate
    loss: float
    """Bradley-Terry's on the scores, whichever loss was trained, so that runs can be compared."""


@torch.no_grad()
def judge_pairs(
    model: RewardModel, pairs: PairFeatures, batch_size: int, world: Processes = ALONE
) -> dict[str, tuple[Scores, Scores]]:
    """Score the two images of every pair on every axis, by axis; every process scores a shard and gets all scores."""
    model.eval()
    parts: dict[str, list[Tensor]] = {axis: [] for axis in model.axes}
    for rows in world.share(list(chunks(torch.arange(len(pairs)), batch_size))):
        features: Features = pairs.batch(rows, None)
        for axis, scores in model.judge(features).items():
            parts[axis].append(torch.stack(scores.chunk(2)).cpu())
    gathered = world.gather(parts)
    joined = {axis: torch.cat([one for found in gathered for one in found[axis]], dim=1) for axis in model.axes}
    return {axis: (scores[0], scores[1]) for axis, scores in joined.items()}


def measure(
    model: RewardModel, pairs: PairFeatures, batch_size: int, world: Processes = ALONE
) -> dict[str, Validation]:
    """Evaluate every axis on pairs: accuracy (ties left out) and loss."""
    return {
        axis: Validation(
            accuracy(first, second, pairs.labels[axis]), float(bradley_terry(first, second, pairs.labels[axis]))
        )
        for axis, (first, second) in judge_pairs(model, pairs, batch_size, world).items()
    }


def set_typical(model: RewardModel, pairs: PairFeatures, batch_size: int, world: Processes = ALONE) -> None:
    """Record the mean and standard deviation of each axis on the images of its judged pairs."""
    for axis, scores in judge_pairs(model, pairs, batch_size, world).items():
        judged = torch.stack(scores)[:, ~pairs.labels[axis].isnan()]
        model.typical[axis] = (float(judged.mean()), max(float(judged.std()), 1e-6))
