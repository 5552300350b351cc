"""JSONL rows in and out: what mining writes and training reads."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.io.files import write_text


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, all or nothing: a killed run leaves the old file."""
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_rows(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Read JSONL rows that all have these text fields; raise `UserError` naming file and line of the first fault."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UserError(f"cannot read {path}: {reason}; give the JSONL file that `rewardkit pe pairs` wrote") from error
    rows = [_row(path, number, line, fields) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise UserError(f"{path} has no rows; expected JSON objects with {', '.join(fields)}, one a line")
    return rows


def _row(path: Path, number: int, line: str, fields: tuple[str, ...]) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {number} is not JSON: {error.msg}") from error
    if not isinstance(row, dict):
        raise UserError(f"{path}, line {number} must be an object with {', '.join(fields)}")
    for field in fields:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise UserError(f"{path}, line {number}: {field!r} must be a text; got {row.get(field)!r}")
    return row
