"""Fit one axis's scale and temperature, and measure both on held-out prompts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.rewards.calibration import Scale
from rewardkit.stats import Estimate, mean_interval, paired_difference
from rewardkit.types import Scores
from rm.calibration.measure import Bin, fit_scale, log_loss, reliability, temperature
from rm.calibration.rated import Rated, pairs_of_rated
from rm.evaluation.rankings import Pairs


@dataclass(frozen=True)
class AxisCalibration:
    """One axis: the scale, the temperature, and the quality of both on held-out prompts."""

    scale: Scale
    temperature: float
    images: int
    prompts: int
    error: Estimate
    """Mean distance of a mapped score from the rating, held out, in points of the 1-5 scale."""
    error_of_mean: Estimate
    """The same when every image gets the mean rating, as a baseline."""
    gain: Estimate
    """Log loss per pair of the raw scores minus that at the temperature, held out."""
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]
    """Reliability at temperature 1 and at the fitted one, held out."""


def fit(rated: Sequence[Rated], held_out: float, bins: int, axis: str) -> AxisCalibration:
    """Fit on some prompts and measure on the others; then fit the scale and the temperature on all prompts."""
    train, validation = parted(rated, held_out)
    if not (train and validation):
        raise UserError(f"{axis}: too few prompts to hold some out; rate more, or change --held-out")
    scale, (difference, outcome, _) = scale_of(train), decided(pairs_of_rated(train))
    validation_difference, validation_outcome, group = decided(pairs_of_rated(validation))
    if not (len(difference) and len(validation_difference)):
        raise UserError(f"{axis}: no two images of one prompt are rated differently, so no preference can be checked")
    fitted = temperature(difference, outcome)
    mean = float(torch.tensor([rating for one in train for rating in one.ratings], dtype=torch.float64).mean())
    losses = [by_group(log_loss(validation_difference / heat, validation_outcome), group) for heat in (fitted, 1.0)]
    everything = decided(pairs_of_rated(rated))
    return AxisCalibration(
        scale_of(rated),
        temperature(everything[0], everything[1]),
        sum(len(one.scores) for one in rated),
        len({one.prompt for one in rated}),
        mean_interval([distance(one, scale(torch.tensor(one.scores, dtype=torch.float64))) for one in validation]),
        mean_interval([distance(one, torch.full((len(one.scores),), mean, dtype=torch.float64)) for one in validation]),
        paired_difference(*losses),
        tuple(reliability(validation_difference.sigmoid(), validation_outcome, bins)),
        tuple(reliability((validation_difference / fitted).sigmoid(), validation_outcome, bins)),
    )


def parted(rated: Sequence[Rated], share: float) -> tuple[list[Rated], list[Rated]]:
    """Split by a hash of the prompt, so that a prompt is on one side and additional data moves none."""
    sides: tuple[list[Rated], list[Rated]] = ([], [])
    for one in rated:
        place = int.from_bytes(hashlib.sha256(one.prompt.encode()).digest()[:4], "big") / 2**32
        sides[place < share].append(one)
    return sides


def scale_of(rated: Sequence[Rated]) -> Scale:
    return fit_scale(
        [score for one in rated for score in one.scores], [rating for one in rated for rating in one.ratings]
    )


def decided(pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    """Keep the pairs with a better image: differences, outcomes (1 where the first is better), groups."""
    keep = pairs.truth != 0
    return pairs.difference[keep], (pairs.truth[keep] + 1) / 2, pairs.group[keep]


def by_group(values: Tensor, group: Tensor) -> list[float]:
    return [float(values[group == one].mean()) for one in group.unique()]


def distance(one: Rated, given: Scores) -> float:
    return float((given - torch.tensor(one.ratings, dtype=torch.float64)).abs().mean())
