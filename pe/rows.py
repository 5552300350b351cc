"""Read and check the rows of training data, as written by mining."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.io.jsonl import numbered_rows


def read_rows(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read JSONL rows that all have these text fields; raise `UserError` naming file and line of the first fault."""
    rows = [_row(f"{path}, line {number}", row, fields) for number, row in numbered_rows(path)]
    if not rows:
        raise UserError(f"{path} has no rows; expected JSON objects with {', '.join(fields)}, one a line")
    return rows


def as_rows(source: Path | str | Sequence[Mapping[str, Any]], fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Take rows from a list, or read them from a file; raise `UserError` as `read_rows` does."""
    if isinstance(source, str | Path):
        return read_rows(Path(source), fields)
    if not source:
        raise UserError(f"the list of rows is empty; expected dictionaries with {', '.join(fields)}")
    return [_row(f"row {number}", row, fields) for number, row in enumerate(source, start=1)]


def _row(where: str, row: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise UserError(f"{where} must be an object with {', '.join(fields)}")
    for field in fields:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise UserError(f"{where}: {field!r} must be a text; got {row.get(field)!r}")
    return dict(row)
