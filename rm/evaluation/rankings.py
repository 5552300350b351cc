"""People's ranks of the images of a prompt with a judge's scores, and the pairs of both."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rewardkit.data import OVERALL, Skipped, read_rows
from rewardkit.errors import UserError
from rewardkit.prompts import has_text, language

Difference = Float[Tensor, " pairs"]
"""Score of the first image minus that of the second."""

Truth = Float[Tensor, " pairs"]
"""People's judgement of a pair: 1 the first is better, -1 the second, 0 a tie."""

Places = Int[Tensor, " pairs"]
"""One integer per pair."""


@dataclass(frozen=True)
class Ranking:
    """Images of one prompt: a judge's scores (higher is better) and people's ranks (smaller is better)."""

    prompt: str
    scores: Sequence[float]
    ranks: Sequence[float]
    key: str
    """Identifies these images for any judge, so that two judges can be compared on them."""
    listing: str
    """Averages over prompts give every listing the same weight."""
    group: str
    """Rankings of one group are resampled together."""
    categories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Pairs:
    """Every pair of images of some rankings."""

    difference: Difference
    truth: Truth
    listing: Places
    """Index of the listing of a pair."""
    group: Places
    """Index of the group of a pair."""

    def __len__(self) -> int:
        return len(self.truth)


def pairs_of(rankings: Iterable[Ranking]) -> Pairs:
    """Take all pairs of images within each ranking, in order."""
    listings: dict[str, int] = {}
    groups: dict[str, int] = {}
    rows = [
        (
            one.scores[i] - one.scores[j],
            float((one.ranks[i] < one.ranks[j]) - (one.ranks[i] > one.ranks[j])),
            listings.setdefault(one.listing, len(listings)),
            groups.setdefault(one.group, len(groups)),
        )
        for one in rankings
        for i, j in combinations(range(len(one.ranks)), 2)
    ]
    difference, truth, listing, group = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Pairs(
        torch.tensor(difference, dtype=torch.float64),
        torch.tensor(truth, dtype=torch.float64),
        torch.tensor(listing, dtype=torch.long),
        torch.tensor(group, dtype=torch.long),
    )


def of_the_prompt(prompt: str) -> dict[str, str]:
    """The categories that follow from the prompt itself."""
    return {"language": language(prompt), "asks for text": "yes" if has_text(prompt) else "no"}


def read_rankings(path: Path, skipped: Skipped) -> dict[tuple[str, str], list[Ranking]]:
    """Read precomputed scores: one row per prompt with `scores` and `ranks` (or `ratings`), by (name, axis).

    Smaller ranks and larger ratings are better. Optional columns: `name` of the judge (default: the file's name),
    `axis`, `category`, `group`. Rows of one judge with the same prompt are matched by their order. A row with a single
    image has no pair: it is counted in `skipped`. Raises `UserError` naming file and row for missing values, unequal
    lengths, or numbers that are not finite.
    """
    found: dict[tuple[str, str], list[Ranking]] = {}
    seen: Counter[tuple[str, str, str]] = Counter()
    for number, row in enumerate(read_rows(path), start=1):
        where = f"{path}, row {number}"
        skipped.seen += 1
        judge = str(row.get("name") or path.stem), str(row.get("axis") or OVERALL)
        prompt = required(row, "prompt", where)
        one = to_ranking(row, str(prompt), where, seen[(*judge, str(prompt))])
        seen[(*judge, str(prompt))] += 1
        if len(one.ranks) < 2:
            skipped.add("row with a single image", where)
            continue
        found.setdefault(judge, []).append(one)
    return found


def to_ranking(row: Mapping[str, Any], prompt: str, where: str, before: int) -> Ranking:
    """Check one row and convert it to a ranking; `before` counts the judge's earlier rows with the same prompt."""
    scores = numbers(required(row, "scores", where), f"{where}, scores")
    rated = row.get("ranks") is None and row.get("ratings") is not None
    given = numbers(row["ratings"] if rated else required(row, "ranks", where), f"{where}, ranks")
    ranks = tuple(-value for value in given) if rated else given
    if len(scores) != len(ranks):
        raise UserError(f"{where} has {len(scores)} scores and {len(ranks)} ranks; it needs one of each per image")
    key = f"{prompt}#{before}"
    category = {"category": str(row["category"])} if row.get("category") else {}
    return Ranking(prompt, scores, ranks, key, key, str(row.get("group") or prompt), category | of_the_prompt(prompt))


def required(row: Mapping[str, Any], column: str, where: str) -> Any:
    if row.get(column) is None:
        raise UserError(f"{where} has no {column!r}; it has {', '.join(map(str, row))}")
    return row[column]


def numbers(values: Any, where: str) -> tuple[float, ...]:
    """Read a list of finite numbers; raise `UserError`, naming where it is, for anything else."""
    if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values):
        raise UserError(f"{where} must be a list of numbers; got {values!r}")
    found = tuple(float(value) for value in values)
    for place, value in enumerate(found, start=1):
        if not math.isfinite(value):
            raise UserError(f"{where}: number {place} is {value}; fix that score, or leave the row out")
    return found
