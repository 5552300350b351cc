"""JSON lines: one object per line, split only at the newline.

`str.splitlines` would also split at U+2028, U+0085 and form feeds, which may occur unescaped in a prompt.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.io.files import write_bytes
from rewardkit.io.text import open_text


def numbered_rows(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of every line that is not blank, in the encodings that `open_text` knows.

    Raises `UserError` that names the file, and the line of the first value that is not JSON.
    """
    with open_text(path, newline="\n") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, _value(path, number, line)


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file; raise `UserError` as `numbered_rows` does, and for a line that is not an object."""
    for number, row in numbered_rows(path):
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number} is not a JSON object; write one object per line")
        yield row


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, atomically: a killed run leaves the old file."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_bytes(path, text.encode("utf-8", "backslashreplace"))  # lone surrogates stay escaped, as JSON allows


def _value(path: Path, number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        where = f"{error.msg} at column {error.colno}"
        raise UserError(f"{path}, line {number} is not JSON: {where}; write one object per line") from error
    except (RecursionError, ValueError) as error:
        raise UserError(f"{path}, line {number} cannot be read as JSON ({error}); write one object per line") from error
