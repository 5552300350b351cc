"""Rows of .jsonl, .json, .csv, .tsv, .parquet and .tfrecord files as dicts, and a row with its file and number."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewardkit.data.records.cells import CellImage, read_parquet
from rewardkit.data.records.record import ImageRef
from rewardkit.data.records.tfrecord import read_tfrecord
from rewardkit.errors import UserError
from rewardkit.io.jsonl import read_objects
from rewardkit.io.named import find_named
from rewardkit.io.table import read_table
from rewardkit.io.text import read_text
from rewardkit.prompts.checks import as_prompt, shown


@dataclass(frozen=True)
class Row:
    """One row of a file."""

    values: Mapping[str, Any]
    file: Path
    number: int

    @property
    def where(self) -> str:
        return f"{self.file}, row {self.number}"

    def need(self, name: str) -> Any:
        """Return a required value; raise `UserError` naming the column."""
        if name not in self.values:
            raise UserError(f"{self.where} has no column {name!r}; it has {', '.join(map(str, self.values))}")
        if self.values[name] is None:
            raise UserError(f"{self.where}: column {name!r} is empty")
        return self.values[name]

    def text(self, name: str) -> str:
        """Return an optional value as text."""
        value = self.values.get(name)
        return "" if value is None else str(value)

    def prompt(self, name: str = "prompt") -> str:
        """Give the prompt, which must be there and be text; it may be empty."""
        return as_prompt(self.need(name), f"{self.where}: column {name!r}")

    def number_of(self, name: str) -> float | None:
        """Return an optional number; raise `UserError` for anything else."""
        value = self.values.get(name)
        return None if value is None or value == "" else number(value, f"{self.where}, column {name!r}")

    def pair(self, name: str) -> list[Any]:
        """Return a required list of two."""
        value = self.need(name)
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise UserError(f"{self.where}: column {name!r} must be a list of two; it is {value!r}")
        return list(value)

    def image(self, name: str, *folders: str) -> ImageRef:
        """Return the image in a column, or its path relative to the file or to one of `folders` next to it."""
        value = self.need(name)
        if isinstance(value, CellImage | Path):
            return value
        if not isinstance(value, str) or not value.strip():
            raise UserError(f"{self.where}: column {name!r} names no image but holds {shown(value)}; write a path")
        return find(self.file.parent, value, *folders)


def number(value: object, where: str) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise UserError(f"{where} is {value!r}; it must be a number") from None


def find(base: Path, name: str, *folders: str) -> Path:
    """Find a file under a folder or its `folders`; if it does not exist, the plain path for the error message."""
    places = [find_named(base, name), *(find_named(base / folder, name) for folder in folders)]
    return next((place for place in places if place.is_file()), places[0]) if folders else places[0]


SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".tfrecord")
"""Endings of files of rows."""


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file, by its ending, as plain dicts."""
    if not path.is_file():
        raise UserError(f"no such file of pairs: {path}")
    match path.suffix.lower():
        case ".jsonl":
            yield from read_objects(path)
        case ".json":
            yield from read_json(path)
        case ".csv" | ".tsv":
            yield from (row for _, row in read_table(path))
        case ".parquet":
            yield from read_parquet(path)
        case ".tfrecord":
            yield from read_tfrecord(path)
        case other:
            raise UserError(f"{path}: pairs are {', '.join(SUFFIXES)} files, not {other or 'nameless'}")


def read_json(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of one JSON list, or of the list a top object holds as `pairs`; JSON lines too."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise UserError(f"{path}, line {error.lineno} is not JSON: {error.msg}") from error
        yield from read_objects(path)
        return
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error})") from error
    rows = value.get("pairs", [value]) if isinstance(value, dict) else value
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} must be a list of JSON objects, one per pair")
    yield from rows
