"""Scores of images with people's ratings of them: precomputed, or computed now."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rewardkit.data import OVERALL, RankedRecord, Skipped, read_rows, read_source
from rewardkit.errors import UserError
from rewardkit.rewards.loaded import LoadedReward
from rm.evaluation.profile import Profile
from rm.evaluation.rankings import Pairs, Ranking, numbers, pairs_of, required
from rm.evaluation.score_pairs import Asked, score_images


@dataclass(frozen=True)
class Rated:
    """Images of one prompt: a judge's scores and people's ratings, higher is better in both."""

    prompt: str
    scores: Sequence[float]
    ratings: Sequence[float]


def pairs_of_rated(rated: Sequence[Rated]) -> Pairs:
    """Take the pairs of images of one prompt; the image with the higher rating is preferred."""
    return pairs_of(
        Ranking(one.prompt, one.scores, [-rating for rating in one.ratings], str(place), str(place), one.prompt)
        for place, one in enumerate(rated)
    )


def read_rated(path: Path) -> dict[str, list[Rated]]:
    """Read rows with prompt, scores, ratings and optionally axis; return them by axis.

    Raises `UserError` naming file and row for missing values, unequal lengths, or numbers that are not finite.
    """
    found: dict[str, list[Rated]] = {}
    for number, row in enumerate(read_rows(path), start=1):
        where = f"{path}, row {number}"
        scores = numbers(required(row, "scores", where), f"{where}, scores")
        ratings = numbers(required(row, "ratings", where), f"{where}, ratings")
        if len(scores) != len(ratings):
            raise UserError(f"{where} has {len(scores)} scores, {len(ratings)} ratings; it needs one of each per image")
        rated = Rated(str(required(row, "prompt", where)), scores, ratings)
        found.setdefault(str(row.get("axis") or OVERALL), []).append(rated)
    return found


def score_rated(
    reward: LoadedReward, sources: Sequence[Path], device: str, batch_size: int, max_bad: float
) -> dict[str, list[Rated]]:
    """Score the images of rated sets, by axis; unreadable images stop the run above the fraction `max_bad`."""
    lists = [one for source in sources for one in read_source(source).lists if one.ratings]
    if not lists:
        raise UserError(f"no ratings in {', '.join(map(str, sources))}; pairs and ranks have no scale to calibrate to")
    asked = dict.fromkeys((image, one.prompt) for one in lists for image in one.images)
    scores, errors = score_images(reward, list(asked), Profile(device=device), batch_size, "calibrate")
    skipped = Skipped(len(asked), {"unreadable image": list(errors.values())} if errors else {})
    skipped.enforce(max_bad)
    if skipped.count:
        print(skipped.summary().replace("pairs", "images"))
    axes = dict.fromkeys(axis for one in lists for axis in one.ratings)
    names = reward.axes
    found: dict[str, list[Rated]] = {}
    for name, own in names.items():
        for axis in (own,) if own in axes else tuple(axes) if len(names) == 1 else ():
            found[axis] = [rated for one in lists for rated in rated_of(one, axis, name, scores)]
    if not found:
        raise UserError(f"the ratings are of {', '.join(axes)}; the reward judges {', '.join(names.values())}")
    return found


def rated_of(record: RankedRecord, axis: str, name: str, scores: dict[Asked, dict[str, float]]) -> Iterator[Rated]:
    """Take the images of a list that are scored and rated on an axis, if any."""
    both = [
        (scores[image, record.prompt][name], rating)
        for image, rating in zip(record.images, record.ratings.get(axis, ()), strict=False)  # none on this axis
        if (image, record.prompt) in scores and not math.isnan(rating)
    ]
    if both:
        ours, theirs = zip(*both, strict=True)
        yield Rated(record.prompt, ours, theirs)
