"""Files of prompts: .txt, .jsonl, .json, .yaml, .csv, .tsv and .parquet, and folders of .txt files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError, first_line
from rewardkit.io.files import as_path
from rewardkit.io.jsonl import numbered_rows
from rewardkit.io.table import read_table
from rewardkit.io.text import open_text, read_text
from rewardkit.prompts.checks import as_prompt, check_prompts, shown

COLUMNS = ("prompt", "caption", "text")
"""Column names of a prompt, in order of precedence; case is ignored."""


@dataclass(frozen=True)
class Prompt:
    """A prompt and the other columns of its file (category, split, seed, ...)."""

    text: str
    tags: dict[str, Any] = field(default_factory=dict)


def read_prompts(path: Path | str, column: str | None = None, empty_too: bool = False) -> list[Prompt]:
    """Read the prompts of a file, a .txt with one per line among them; the other columns become tags.

    A folder is read as .txt files of one prompt each.

    `column` names the column of the prompt (default: prompt, caption or text, ignoring case). Raise `UserError`, naming
    the file and, if possible, the line, for unreadable input, for an empty prompt (unless `empty_too`), and
    for a file without prompts.
    """
    path = as_path(path, "the file of prompts")
    readers = {
        ".txt": _lines,
        ".jsonl": _jsonl,
        ".json": _json,
        ".yaml": _yaml,
        ".yml": _yaml,
        ".csv": read_table,
        ".tsv": read_table,
        ".parquet": _parquet,
    }
    if path.is_dir():
        readers[path.suffix.lower()] = _folder
    elif path.suffix.lower() not in readers:
        raise UserError(f"{path}: prompts are read from {', '.join(readers)} files; rename or convert it")
    rows = list(readers[path.suffix.lower()](path))
    if not rows:
        raise UserError(f"{path} has no prompts; write one per line")
    return [_prompt(path, number, row, column, empty_too) for number, row in rows]


def as_prompts(source: Path | str | Sequence[str | Prompt], column: str | None = None) -> list[Prompt]:
    """Take prompts from a list, or read them from a file.

    Raises `UserError` as `read_prompts` does, for an empty list, and for an item that is neither text nor a `Prompt`.
    """
    if isinstance(source, str | Path):
        return read_prompts(source, column)
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
        names.setdefault(str(name).lower(), name)
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


def _folder(path: Path) -> Rows:
    files = sorted(path.glob("[!.]*.txt"))
    if not files:
        raise UserError(
            f"{path} is a folder without .txt files; give a file of prompts, or write a .txt for each prompt"
        )
    return ((number, {"prompt": read_text(file), "file": file.name}) for number, file in enumerate(files, start=1))


def _json(path: Path) -> Rows:
    try:
        value = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({first_line(error)}); for one object per line name it .jsonl") from error
    return _values(path, value)


def _yaml(path: Path) -> Rows:
    import yaml

    try:
        value = yaml.safe_load(read_text(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{path} is not YAML ({first_line(error)}); write a list of prompts") from error
    return _values(path, value)


def _values(path: Path, value: Any) -> Rows:
    """Find the list in a document: itself, the one list that it holds, or its objects by key (GenAI-Bench)."""
    if isinstance(value, dict):
        lists = [one for one in value.values() if isinstance(one, list)]
        objects = [one for one in value.values() if isinstance(one, dict)]
        value = lists[0] if len(lists) == 1 else objects if len(objects) == len(value) else value
    if not isinstance(value, list) or not all(isinstance(one, str | dict) for one in value):
        raise UserError(f"{path} has no list of prompts; write a list of texts, or of objects with a prompt each")
    return ((number, {"prompt": one} if isinstance(one, str) else one) for number, one in enumerate(value, start=1))


def _parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            plain = [
                name
                for name, kind in zip(schema.names, schema.types, strict=True)
                if not pa.types.is_nested(kind) and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind)
            ]
            yield from enumerate(file.read(columns=plain).to_pylist(), start=1)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is not a readable Parquet file: {first_line(error)}; fetch it again") from error


def _jsonl(path: Path) -> Rows:
    for number, row in numbered_rows(path):
        if isinstance(row, str):
            row = {"prompt": row}
        if not isinstance(row, dict):
            raise UserError(f'{path}, line {number} must be an object like {{"prompt": "a red circle"}}')
        yield number, row
