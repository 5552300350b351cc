"""Tables: .csv and .tsv files of a user, by commas, semicolons or tabs, whatever the first line is split by."""

import csv
from collections.abc import Iterator
from pathlib import Path

from rewardkit.errors import UserError
from rewardkit.io.text import open_text

DELIMITERS = {".csv": ",;\t", ".tsv": "\t,;"}
"""Ending -> what may split its cells; the first where the first line does not tell."""
LONGEST_CELL = 2**31 - 1


def read_table(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, cells by column) of every line that is not blank; cells a line lacks at its end are empty.

    Cells of a .tsv are taken raw, as public lists of prompts have them, unless a spreadsheet quoted them. Raises
    `UserError` that names file and line for a line of too many cells, for quotation marks inside a quoted cell that are
    not doubled, and for a column that is named twice.
    """
    delimiter = delimiter_of(path)
    rows = raw_rows(path) if path.suffix.lower() == ".tsv" and delimiter == "\t" else csv_rows(path, delimiter)
    filled = ((number, cells) for number, cells in rows if any(cell.strip() for cell in cells))
    _, header = next(filled, (0, []))
    header = [name.strip() for name in header]
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice:
        raise UserError(f"{path} names the column {twice!r} twice; rename one of the two")
    for number, cells in filled:
        if len(cells) > len(header):
            raise UserError(
                f"{path}, line {number} has {len(cells)} cells, but the first line names {len(header)}; "
                "put a cell that holds the delimiter in quotation marks"
            )
        yield number, dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True))


def delimiter_of(path: Path) -> str:
    """Take what splits the first line that is not blank into the most names."""
    choices = DELIMITERS[path.suffix.lower()]
    with open_text(path) as file:
        header = next((line for line in file if line.strip()), "")
    return max(choices, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter), [])))


def csv_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST_CELL)
    with open_text(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except csv.Error as error:
            raise UserError(
                f"{path}, line {reader.line_num} is not CSV: {error}; write a quotation mark inside a quoted cell twice"
            ) from error


def raw_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    with open_text(path) as file:
        for number, line in enumerate(file, start=1):
            yield number, [unquoted(cell) for cell in line.removesuffix("\n").split("\t")]


def unquoted(cell: str) -> str:
    """Undo a spreadsheet's quoting of a TSV cell with quotes in it; leave raw cells (PartiPrompts) alone."""
    inner = cell[1:-1]
    if len(cell) > 3 and cell[0] == cell[-1] == '"' and '""' in inner and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return cell
