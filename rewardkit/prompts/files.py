"""Files of prompts: .txt, .jsonl, .csv and .tsv."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.io.files import as_path
from rewardkit.io.jsonl import numbered_rows
from rewardkit.prompts.checks import check_prompts

COLUMNS = ("prompt", "caption", "text")
"""Column names a prompt is looked for under, in this order, in any case."""


@dataclass(frozen=True)
class Prompt:
    """A prompt and what its file says about it (category, split, seed, ...)."""

    text: str
    tags: dict[str, Any] = field(default_factory=dict)


def read_prompts(path: Path | str, column: str | None = None) -> list[Prompt]:
    """Read the prompts of a .txt (one a line), .jsonl, .csv or .tsv file; the other columns become tags.

    `column` names the column that holds the prompt (default: prompt, caption or text, in any case). Raise `UserError`
    naming the file, and the line where there is one, for what cannot be read, for an empty prompt, and for no prompts.
    """
    path = as_path(path, "the file of prompts")
    readers = {".txt": _lines, ".jsonl": _jsonl, ".csv": _csv, ".tsv": _tsv}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: prompts are read from {', '.join(readers)} files; rename or convert it")
    rows = list(readers[path.suffix.lower()](path, _read(path)))
    if not rows:
        raise UserError(f"{path} holds no prompts; write one a line")
    return [_prompt(path, number, row, column) for number, row in rows]


def as_prompts(source: Path | str | Sequence[str | Prompt]) -> list[Prompt]:
    """Take prompts from a list, or read them from a file.

    Raises `UserError` as `read_prompts` does, for an empty list, and for an item that is neither text nor a `Prompt`.
    """
    if isinstance(source, str | Path):
        return read_prompts(source)
    check_prompts([item.text if isinstance(item, Prompt) else item for item in source], "a run")
    prompts = [item if isinstance(item, Prompt) else Prompt(item.strip()) for item in source]
    if not prompts or not all(prompt.text for prompt in prompts):
        raise UserError("the list of prompts is empty, or one of them is; give one text or more")
    return prompts


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise UserError(f"cannot read prompts from {path}: {error.strerror}") from error


def _prompt(path: Path, number: int, row: Mapping[str, Any], column: str | None) -> Prompt:
    key = _column(path, row, column)
    text = row[key]
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{path}, line {number}: {key!r} holds no prompt ({text!r}); fill it in or delete the line")
    return Prompt(text.strip(), {name: value for name, value in row.items() if name != key})


def _column(path: Path, row: Mapping[str, Any], column: str | None) -> str:
    names: dict[str, str] = {}
    for name in row:
        names.setdefault(name.lower(), name)
    for wanted in COLUMNS if column is None else (column.lower(),):
        if wanted in names:
            return names[wanted]
    looked_for = " or ".join(repr(name) for name in (COLUMNS if column is None else (column,)))
    raise UserError(f"{path} has no column {looked_for}; its columns are {', '.join(repr(name) for name in row)}")


Rows = Iterator[tuple[int, dict[str, Any]]]


def _lines(path: Path, text: str) -> Rows:
    # Not splitlines(): that also breaks at U+2028 and form feeds, which are characters of a prompt.
    return ((number, {"prompt": line}) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _jsonl(path: Path, text: str) -> Rows:
    for number, row in numbered_rows(path):
        if isinstance(row, str):
            row = {"prompt": row}
        if not isinstance(row, dict):
            raise UserError(f'{path}, line {number} must be an object like {{"prompt": "a red circle"}}')
        yield number, row


def _csv(path: Path, text: str) -> Rows:
    return _table(path, _csv_rows(path, text))


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num} is not CSV: {error}") from error


def _tsv(path: Path, text: str) -> Rows:
    lines = enumerate(text.split("\n"), 1)
    return _table(path, ((number, [_unquoted(cell) for cell in line.split("\t")]) for number, line in lines))


def _unquoted(cell: str) -> str:
    """Undo a spreadsheet's quoting of a TSV cell with quotes in it; leave raw cells (PartiPrompts) alone."""
    inner = cell[1:-1]
    if len(cell) > 3 and cell[0] == cell[-1] == '"' and '""' in inner and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell


def _table(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Rows:
    filled = ((number, cells) for number, cells in rows if any(cell.strip() for cell in cells))
    _, header = next(filled, (0, []))
    for number, cells in filled:
        if len(cells) > len(header):
            raise UserError(f"{path}, line {number} has {len(cells)} cells, but the first line names {len(header)}")
        yield number, dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True))
