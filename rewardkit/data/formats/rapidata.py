"""Rapidata's open image preferences: two images of a prompt and about ten votes, with results as JSON in a string."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from rewardkit.data.formats.format import Format
from rewardkit.data.records.record import OVERALL, PreferenceRecord
from rewardkit.data.records.rows import Row, number
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError

NAME = "Rapidata"
REQUIRED = ("prompt", "image1", "image2", "aggregated_results")
TELLING = ("image1", "image2", "aggregated_results", "preference_responses", "detailed_results")


def read(rows: Iterable[Row], axis: str | None, left_out: Skipped) -> Iterator[PreferenceRecord]:
    """Read pairs; the label is the fraction of votes for the first. Pairs without votes are left out and counted."""
    for row in rows:
        prompt, images = row.prompt(), (row.image("image1"), row.image("image2"))
        votes = votes_of(row)
        if sum(votes) <= 0:
            left_out.add("without a vote", row.where)
            continue
        yield PreferenceRecord(
            prompt,
            *images,
            {axis or OVERALL: votes[0] / sum(votes)},
            group=prompt,
            source=NAME,
            votes=votes,
            models=(row.text("model1"), row.text("model2")),
            version=row.file.stem,
        )


def votes_of(row: Row) -> tuple[float, float]:
    """Find the votes for both images in the results, which name them by file, by model or by column."""
    results = parsed(row, "aggregated_results")
    results = results.get("aggregatedResults", results) if isinstance(results, dict) else results
    if not isinstance(results, dict) or len(results) != 2:
        raise UserError(f"{row.where}: aggregated_results must have the votes for two images; it is {results!r}")
    for first, second in names(row):
        if {first, second} == results.keys() and first != second:
            where = f"{row.where}, aggregated_results"
            return number(results[first], where), number(results[second], where)
    raise UserError(
        f"{row.where}: cannot tell which image is which in aggregated_results ({', '.join(results)}); "
        "it must name them as column images, model1 and model2, or image1 and image2 do"
    )


def names(row: Row) -> Iterator[tuple[str, str]]:
    """All names the set may use for the two images, in order."""
    listed = parsed(row, "images") if row.values.get("images") else None
    if isinstance(listed, list) and len(listed) == 2:
        first, second = map(str, listed)
        yield first, second
        yield PurePosixPath(first).name, PurePosixPath(second).name
    yield row.text("model1"), row.text("model2")
    yield "image1", "image2"


def parsed(row: Row, column: str) -> Any:
    """Parse JSON in a column; parsed values are returned unchanged."""
    value = row.need(column)
    if isinstance(value, Mapping | list):
        return value
    try:
        return json.loads(str(value))
    except json.JSONDecodeError as error:
        raise UserError(f"{row.where}: column {column!r} is not JSON ({error.msg})") from error


FORMAT = Format(NAME, REQUIRED, TELLING, read)
