"""Our own format of pairs: one row per pair with `prompt`, `first`, `second`, and a label.

A label is the probability that `first` is better: 1, 0, 0.5 for a tie, or a fraction of votes; `label` says which words
and other numbers are understood, and `usual` which other column names. It is in the column `label` (one axis, named by
a column `axis` or by the caller) or in `label_AXIS` (any number of axes; an empty cell means not judged). An image is a
path relative to the file or, in Parquet, the encoded image itself. Optional columns: `group` (pairs of one group stay
in one split; default: the prompt), `source`, `version`, `confidence`, and for each image `votes_first`, `model_first`,
`id_first` and the same for `second`.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewardkit.data.formats.format import Format
from rewardkit.data.formats.label import Labels
from rewardkit.data.formats.usual import OURS, Columns, listed
from rewardkit.data.records.record import OVERALL, ImageRef, PreferenceRecord, turn
from rewardkit.data.records.rows import Row, read_rows
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError
from rewardkit.io.files import write_bytes, write_text

REQUIRED = ("prompt", "first", "second")
LABEL_PREFIX = "label_"


def read_pairs(path: Path | str, axis: str | None = None) -> list[PreferenceRecord]:
    """Read a file in our own format; the images are not opened.

    `axis` names the axis of a plain `label` column. Raises `UserError` naming the missing column or the bad row.
    """
    path = Path(path)
    rows = (Row(values, path, number) for number, values in enumerate(read_rows(path), start=1))
    records = list(read(rows, axis, Skipped()))
    if not records:
        raise UserError(f"{path} has no pairs; it needs one row per pair with prompt, first, second and a label")
    return records


def read(
    rows: Iterable[Row], axis: str | None, left_out: Skipped, columns: Columns = OURS
) -> Iterator[PreferenceRecord]:
    """Convert every row to a record; pairs whose columns give the verdict are swapped or not by a hash.

    Numbers are understood once all have been seen: 1 and 2 are sides only where a 2 occurs.
    """
    known: dict[str, Labels] = {}
    records = [to_record(columns.rename(row) if columns.names else row, axis, columns, known) for row in rows]
    scales = {name: scale for name, labels in known.items() if (scale := labels.scale())}
    for record in records:
        if scales:
            scaled = {name: scales[name](value) if name in scales else value for name, value in record.label.items()}
            record = replace(record, label=scaled)
        yield record.swapped() if columns.decided and turn(record.prompt, record.first, record.second) else record


OWN = Format("rewardkit", REQUIRED, telling=("first", "second"), read=read)


def to_record(row: Row, axis: str | None, columns: Columns, known: dict[str, Labels]) -> PreferenceRecord:
    """Check one row and make it a record, numbers of its labels as they are; raise `UserError` naming file and row."""
    prompt = row.prompt()
    votes = row.number_of("votes_first"), row.number_of("votes_second")
    first, second = row.image("first"), row.image("second")
    return PreferenceRecord(
        prompt,
        first,
        second,
        labels(row, axis, columns, known),
        group=row.text("group") or prompt or str(row.values["first"]),
        source=row.text("source"),
        votes=None if votes[0] is None or votes[1] is None else (votes[0], votes[1]),
        confidence=row.number_of("confidence"),
        models=(row.text("model_first"), row.text("model_second")),
        ids=(row.text("id_first"), row.text("id_second")),
        version=row.text("version"),
    )


def labels(row: Row, axis: str | None, columns: Columns, known: dict[str, Labels]) -> dict[str, float]:
    """Read the labels of a row, by axis."""
    values = row.values
    found = {key.removeprefix(LABEL_PREFIX): values[key] for key in values if str(key).startswith(LABEL_PREFIX)}
    if "label" in values or columns.decided:
        name = values.get("axis") or axis or (OVERALL if columns.foreign else None)
        if not name:
            raise UserError(
                f"{row.where}: the axis of column 'label' is unknown; add a column 'axis', or pass one axis"
            )
        found[str(name)] = "first" if columns.decided else values["label"]
    if not found:
        raise UserError(
            f"{row.where} has no label; it has {listed(row)}. Add a column 'label' or label_AXIS (like label_text), "
            "from 0 to 1, or name it with --columns label=COLUMN"
        )
    called = {our: name for name, our in columns.names.items()}
    names = [
        {row.text(what), row.text(f"model_{what}"), called.get(what, ""), called.get(f"model_{what}", "")} - {""}
        for what in ("first", "second")
    ]
    read_values = {}
    for name, value in found.items():
        column = called.get("label", name) if columns.names_winner else name
        of_axis = known.setdefault(name, Labels(column, columns.sides, columns.names_winner))
        read_values[name] = of_axis.read(value, row.where, (names[0], names[1]))
    tie = str(values.get("tie_case", "")).strip().casefold() in ("true", "1", "1.0", "yes", "tie")
    return {name: 0.5 if tie else value for name, value in read_values.items() if value is not None}


def write_pairs(path: Path, records: Iterable[PreferenceRecord]) -> int:
    """Write records as .jsonl, image paths relative to the file; return how many.

    Images that are not files are written to the folder `images` next to it, named by a hash of their content.
    """
    lines = [json.dumps(to_row(record, path.parent), ensure_ascii=False) for record in records]
    write_text(path, "".join(f"{line}\n" for line in lines))
    return len(lines)


def to_row(record: PreferenceRecord, folder: Path) -> dict[str, Any]:
    """Convert one record to the row that `read_pairs` reads."""
    row: dict[str, Any] = {
        "prompt": record.prompt,
        "first": os.path.relpath(as_file(record.first, folder), folder),
        "second": os.path.relpath(as_file(record.second, folder), folder),
    }
    row |= {f"{LABEL_PREFIX}{axis}": value for axis, value in record.label.items()}
    votes = record.votes or (None, None)
    extra = {
        "group": record.group,
        "source": record.source,
        "version": record.version,
        "confidence": record.confidence,
        **dict(zip(("votes_first", "votes_second"), votes, strict=True)),
        **dict(zip(("model_first", "model_second"), record.models, strict=True)),
        **dict(zip(("id_first", "id_second"), record.ids, strict=True)),
    }
    return row | {name: value for name, value in extra.items() if value not in (None, "")}


def as_file(image: ImageRef, folder: Path) -> Path:
    """Return the file of an image, writing it first if it is in a table."""
    if isinstance(image, Path):
        return image
    data = image.read_bytes()
    path = folder / "images" / hashlib.sha256(data).hexdigest()[:32]
    if not path.is_file():
        write_bytes(path, data)
    return path
