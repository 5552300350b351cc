"""Preference records: two images of one prompt and, on one axis or more, the probability that the first is better.

A file of pairs (.jsonl, .csv, .tsv, .parquet) has a row a pair: `prompt`, `first`, `second`, and a label. A label is
the probability that `first` is better: 1, 0, 0.5 for a tie, or a share of votes. It stands in the column `label` (one
axis, named by a column `axis` or by the caller) or in `label_AXIS` (any number of axes; an empty cell says nothing
about its axis). Optional columns: `group` (pairs of one group never part in a split; the prompt where there is none)
and `source`. Image paths are relative to the file.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.files import write_text

REQUIRED = ("prompt", "first", "second")
LABEL_PREFIX = "label_"


@dataclass(frozen=True)
class PreferenceRecord:
    """Two images of one prompt, and how likely the first is the better one on each judged axis."""

    prompt: str
    first: Path
    second: Path
    label: Mapping[str, float]
    """Axis -> P(first is better) in [0, 1]; 0.5 is a tie; an absent axis was not judged."""
    group: str = ""
    """Pairs of one group stay together in a split."""
    source: str = ""
    """The set, the model or the annotator the pair came from."""


@dataclass
class Skipped:
    """What was left out of a file of pairs, and why; it goes to a report file and, past `max_bad`, stops the run."""

    seen: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        self.reasons.setdefault(reason, []).append(where)

    @property
    def count(self) -> int:
        return sum(len(places) for places in self.reasons.values())

    def summary(self) -> str:
        """One line: how many of how many, by reason; empty when nothing was skipped."""
        parts = ", ".join(f"{len(places)} {reason}" for reason, places in self.reasons.items())
        return f"skipped {self.count} of {self.seen} pairs: {parts}" if parts else ""

    def enforce(self, max_bad: float, report: Path | None = None) -> None:
        """Write the report and raise `UserError`, naming the first bad row, when more than a share `max_bad` is bad."""
        if report is not None and self.count:
            write_json(report, {"seen": self.seen, "skipped": self.count, "reasons": self.reasons})
        if self.count > max_bad * self.seen:
            reason, places = next(iter(self.reasons.items()))
            more = f" (and {self.count - 1} more, listed in {report})" if self.count > 1 and report else ""
            raise UserError(f"{reason}: {places[0]}{more}; mend it, or allow a share of bad ones with --max-bad")


def read_pairs(path: Path | str, axis: str | None = None) -> list[PreferenceRecord]:
    """Read a file of preference pairs; the images are not opened.

    `axis` names the axis of a plain `label` column. Raises `UserError` naming the missing column or the bad row.
    """
    path = Path(path)
    rows = list(read_rows(path))
    if not rows:
        raise UserError(f"{path} has no pairs; it needs one row a pair with prompt, first, second and a label")
    return [to_record(row, path, number, axis) for number, row in enumerate(rows, start=1)]


def to_record(row: Mapping[str, Any], path: Path, number: int, axis: str | None) -> PreferenceRecord:
    """Check one row and make it a record; raise `UserError` naming file and row."""
    where = f"{path}, row {number}"
    missing = [name for name in REQUIRED if row.get(name) is None]
    if missing:
        raise UserError(f"{where} has no column {missing[0]!r}; it has {', '.join(map(str, row))}")
    first, second = (path.parent / str(row[name]) for name in ("first", "second"))
    prompt = str(row["prompt"])
    group = str(row.get("group") or prompt or row["first"])
    return PreferenceRecord(prompt, first, second, labels(row, where, axis), group, str(row.get("source") or ""))


def labels(row: Mapping[str, Any], where: str, axis: str | None) -> dict[str, float]:
    """Read the labels of a row, by axis."""
    found = {key.removeprefix(LABEL_PREFIX): row[key] for key in row if str(key).startswith(LABEL_PREFIX)}
    if "label" in row:
        name = row.get("axis") or axis
        if not name:
            raise UserError(f"{where}: which axis is the column 'label' about? Add a column 'axis', or pass one axis")
        found[str(name)] = row["label"]
    if not found:
        raise UserError(f"{where} has no label; add a column 'label' or label_AXIS (like label_text), from 0 to 1")
    return {name: probability(value, f"{where}, label of {name}") for name, value in found.items() if not empty(value)}


def empty(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def probability(value: object, where: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise UserError(f"{where} is {value!r}; it must be P(first is better), from 0 to 1, and 0.5 for a tie")
    return number


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a .jsonl, .csv, .tsv or .parquet file as plain dicts."""
    if not path.is_file():
        raise UserError(f"no such file of pairs: {path}")
    match path.suffix.lower():
        case ".jsonl":
            yield from read_jsonl(path)
        case ".csv" | ".tsv":
            yield from read_table(path, "," if path.suffix.lower() == ".csv" else "\t")
        case ".parquet":
            yield from read_parquet(path)
        case other:
            raise UserError(f"{path}: pairs are .jsonl, .csv, .tsv or .parquet files, not {other or 'nameless'}")


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number} is not JSON ({error.msg}); write one object a line") from error
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number} is not a JSON object; write one object a line")
        yield row


def read_table(path: Path, delimiter: str) -> Iterator[dict[str, Any]]:
    import csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, delimiter=delimiter)


def read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not a readable parquet file: {error}") from error
    yield from table.to_pylist()


def write_pairs(path: Path, records: Iterable[PreferenceRecord]) -> int:
    """Write records as .jsonl, image paths relative to the file; return how many."""
    lines = [json.dumps(to_row(record, path.parent), ensure_ascii=False) for record in records]
    write_text(path, "".join(f"{line}\n" for line in lines))
    return len(lines)


def to_row(record: PreferenceRecord, folder: Path) -> dict[str, Any]:
    """Write one record as the row that `read_pairs` reads back."""
    row: dict[str, Any] = {
        "prompt": record.prompt,
        "first": os.path.relpath(record.first, folder),
        "second": os.path.relpath(record.second, folder),
    }
    row |= {f"{LABEL_PREFIX}{axis}": value for axis, value in record.label.items()}
    row |= {"group": record.group} if record.group else {}
    return row | ({"source": record.source} if record.source else {})


def axes_of(records: Sequence[PreferenceRecord]) -> tuple[str, ...]:
    """Name every axis that any record judges, in the order met."""
    return tuple(dict.fromkeys(axis for record in records for axis in record.label))


def split(
    records: Sequence[PreferenceRecord], share: float, seed: int
) -> tuple[list[PreferenceRecord], list[PreferenceRecord]]:
    """Split into (training, held out) by group: a group goes whole, by a hash, until `share` of the pairs is held out.

    The hash makes the split stable: more data later moves few groups. Raises `UserError` when one side stays empty.
    """
    sizes: dict[str, int] = {}
    for record in records:
        sizes[record.group] = sizes.get(record.group, 0) + 1
    held: set[str] = set()
    taken = 0
    for group in sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()):
        if taken >= share * len(records):
            break
        held.add(group)
        taken += sizes[group]
    sides = [r for r in records if r.group not in held], [r for r in records if r.group in held]
    if share > 0 and not all(sides):
        raise UserError(f"cannot hold out {share:.0%} of {len(records)} pairs in {len(sizes)} group(s); add groups")
    return sides


def shared_images(train: Iterable[PreferenceRecord], held: Iterable[PreferenceRecord]) -> int:
    """Count the images that stand on both sides of a split: each is a leak."""
    sides = [{path for record in side for path in (record.first, record.second)} for side in (train, held)]
    return len(sides[0] & sides[1])


def write_json(path: Path, value: object) -> None:
    """Write JSON whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
