"""GenAI-Bench (arXiv:2406.13743): one prompt per row, one image column per model, three ratings (1 to 5) per image."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rewardkit.data.formats.format import Format
from rewardkit.data.records.record import RankedRecord
from rewardkit.data.records.rows import Row
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError

NAME = "GenAI-Bench"
REQUIRED = ("Prompt", "HumanRatings")
TELLING = ("Prompt", "HumanRatings", "Tags", "Index")
AXIS = "alignment"
"""What its raters were asked: whether the image matches the prompt."""


def read(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[RankedRecord]:
    """Read one list per prompt: a model's score is its mean rating, equal means tie."""
    for row in rows:
        prompt, ratings = row.prompt("Prompt"), ratings_of(row)
        means = tuple(mean(values) for values in ratings.values())
        if sum(not math.isnan(one) for one in means) < 2:
            left_out.add("prompt with fewer than two rated images", row.where)
            continue
        yield RankedRecord(
            prompt,
            tuple(row.image(model) for model in ratings),
            {AXIS: means},
            group=prompt,
            source=NAME,
            models=tuple(ratings),
            version=row.file.stem,
            ratings={AXIS: means},
        )


def ratings_of(row: Row) -> Mapping[str, Any]:
    """Return the ratings by model; one release has them as JSON in a string."""
    value = row.need("HumanRatings")
    try:
        ratings = json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise UserError(f"{row.where}: column 'HumanRatings' is not JSON ({error.msg})") from error
    if not isinstance(ratings, Mapping):
        raise UserError(f"{row.where}: column 'HumanRatings' must be the ratings by model; it is {ratings!r}")
    return ratings


def mean(values: Iterable[Any] | None) -> float:
    rated = [float(value) for value in values or () if value is not None]
    return sum(rated) / len(rated) if rated else math.nan


FORMAT = Format(NAME, REQUIRED, TELLING, read)
