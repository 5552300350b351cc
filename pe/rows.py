"""The rows that training reads, checked: what mining writes."""

from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.io.jsonl import numbered_rows


def read_rows(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read JSONL rows that all have these text fields; raise `UserError` naming file and line of the first fault."""
    rows = [_row(path, number, row, fields) for number, row in numbered_rows(path)]
    if not rows:
        raise UserError(f"{path} has no rows; expected JSON objects with {', '.join(fields)}, one a line")
    return rows


def _row(path: Path, number: int, row: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(f"{path}, line {number} must be an object with {', '.join(fields)}")
    for field in fields:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise UserError(f"{path}, line {number}: {field!r} must be a text; got {row.get(field)!r}")
    return row
