"""Files of prompts: .txt, .jsonl, .csv and .tsv."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError
from rewardkit.io.files import as_path
from rewardkit.io.jsonl import numbered_rows
from rewardkit.io.table import read_table
from rewardkit.io.text import open_text
from rewardkit.prompts.checks import as_prompt, check_prompts, shown

COLUMNS = ("prompt", "caption", "text")
"""Column names of a prompt, in order of precedence; case is ignored."""


@dataclass(frozen=True)
class Prompt:
    """A prompt and the other columns of its file (category, split, seed, ...)."""

    text: str
    tags: dict[str, Any] = field(default_factory=dict)


def read_prompts(path: Path | str, column: str | None = None, empty_too: bool = False) -> list[Prompt]:
    """Read the prompts of a .txt (one per line), .jsonl, .csv or .tsv file; the other columns become tags.

    `column` names the column of the prompt (default: prompt, caption or text, ignoring case). Raise `UserError`, naming
    the file and, if possible, the line, for unreadable input, for an empty prompt (unless `empty_too`), and
    for a file without prompts.
    """
    path = as_path(path, "the file of prompts")
    readers = {".txt": _lines, ".jsonl": _jsonl, ".csv": read_table, ".tsv": read_table}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path}: prompts are read from {', '.join(readers)} files; rename or convert it")
    rows = list(readers[path.suffix.lower()](path))
    if not rows:
        raise UserError(f"{path} has no prompts; write one per line")
    return [_prompt(path, number, row, column, empty_too) for number, row in rows]


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


def _prompt(path: Path, number: int, row: Mapping[str, Any], column: str | None, empty_too: bool) -> Prompt:
    key = _column(path, row, column)
    text = row[key]
    if empty_too and (text is None or (isinstance(text, str) and not text.strip())):
        text = ""
    elif not isinstance(text, str) or not text.strip():
        raise UserError(f"{path}, line {number}: {key!r} has no prompt ({shown(text)}); fill it in or delete the line")
    as_prompt(text, f"{path}, line {number}: {key!r}")
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


def _lines(path: Path) -> Rows:
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield number, {"prompt": line.removesuffix("\n")}


def _jsonl(path: Path) -> Rows:
    for number, row in numbered_rows(path):
        if isinstance(row, str):
            row = {"prompt": row}
        if not isinstance(row, dict):
            raise UserError(f'{path}, line {number} must be an object like {{"prompt": "a red circle"}}')
        yield number, row
