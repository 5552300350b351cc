"""Read preference pairs from any source in any known format, which is detected from the columns.

A source is a file, a folder, a glob (`data/train-*.parquet`) or a hub id (`hub:OWNER/NAME@SPLIT[:N]`, see `hub`).
"""

import glob
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import Any

from rewardkit.data.formats import FORMATS, hpdv3, own
from rewardkit.data.formats.format import Format, Reader
from rewardkit.data.formats.own import OWN
from rewardkit.data.formats.usual import OURS, VERDICTS, by_hand, check_not_editing, find_columns, listed
from rewardkit.data.hub import PREFIX, read_hub
from rewardkit.data.records.record import PreferenceRecord, RankedRecord
from rewardkit.data.records.rows import SUFFIXES, Row, read_rows
from rewardkit.data.records.skipped import Skipped
from rewardkit.errors import UserError

SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation"}
SAVED = ("state.json", "dataset_dict.json")
"""What `save_to_disk` of datasets writes beside its Arrow files."""
SPLIT_WORD = re.compile(r"(?:^|[^a-z])(train|validation|valid|val|dev|test)(?:$|[^a-z])")


@dataclass(frozen=True)
class Reading:
    """The content of a source."""

    source: str
    format: str
    columns: tuple[str, ...]
    files: tuple[Path, ...]
    records: list[PreferenceRecord]
    """All pairs, including those of the lists."""
    alone: list[PreferenceRecord]
    """The pairs that are not from lists."""
    lists: list[RankedRecord]
    """The rank lists, if the format has them."""
    left_out: Skipped
    """Rows without a judgement, by reason."""

    def rankings(self) -> list[RankedRecord]:
        """Every judgement once, as a list: a single pair is a list of two."""
        return [*self.lists, *(record.listed() for record in self.alone)]


def read_records(source: Path | str, axis: str | None = None, columns: Sequence[str] = ()) -> list[PreferenceRecord]:
    """Read the pairs of a source, and print one line about what was left out; the images are not opened.

    `axis` names what was judged if the set does not say it (default: `preference`, or an error for files in
    our format). Raises `UserError` naming the missing column or the bad row.
    """
    return read_and_report(source, axis, columns).records


def read_and_report(source: Path | str, axis: str | None = None, columns: Sequence[str] = ()) -> Reading:
    """Read a source as `read_records` does, with its lists."""
    reading = read_source(source, axis, columns)
    if reading.left_out.count:
        print(f"{source}: {reading.left_out.summary()}")
    return reading


def read_source(source: Path | str, axis: str | None = None, columns: Sequence[str] = ()) -> Reading:
    """Read the pairs and lists of a source, with its format and what was left out."""
    files = (Path(source),) if str(source).startswith(PREFIX) else files_of(source)
    records: list[PreferenceRecord] = []
    alone: list[PreferenceRecord] = []
    lists: list[RankedRecord] = []
    left_out = Skipped()
    found: dict[str, tuple[str, ...]] = {}
    for file in files:
        rows = rows_of(file)
        first = next(rows, None)
        if first is None:
            continue
        format, read = reader_of(first, columns)
        found[format.name] = tuple(first.values)
        every = check_not_editing(counted(itertools.chain([first], rows), left_out))
        for record in read(every, axis, left_out):
            if isinstance(record, RankedRecord):
                lists.append(record)
                records.extend(record.pairs())
            else:
                records.append(record)
                alone.append(record)
    if not found:
        raise UserError(f"{source} has no pairs; it needs one row per pair with prompt, first, second and a label")
    if not records:
        raise UserError(f"{source} has no pairs; {left_out.summary() or 'its lists have one image each'}")
    met = tuple(dict.fromkeys(name for names in found.values() for name in names))
    return Reading(str(source), ", ".join(found), met, files, records, alone, lists, left_out)


Record = PreferenceRecord | RankedRecord


def as_reading(records: Sequence[Record]) -> Reading:
    """Take pairs and rank lists that are in memory as what a source held; raise `UserError` for anything else."""
    strange = [record for record in records if not isinstance(record, PreferenceRecord | RankedRecord)]
    if strange or not records:
        found = f"a value of type {type(strange[0]).__name__}" if strange else "an empty list"
        raise UserError(f"pairs are PreferenceRecord or RankedRecord objects; got {found}")
    alone = [record for record in records if isinstance(record, PreferenceRecord)]
    lists = [record for record in records if isinstance(record, RankedRecord)]
    pairs = [*alone, *(pair for one in lists for pair in one.pairs())]
    return Reading("memory", "records", (), (), pairs, alone, lists, Skipped(len(records)))


def rows_of(file: Path) -> Iterator[Row]:
    rows: Iterator[dict[str, Any]] = read_hub(str(file)) if str(file).startswith(PREFIX) else read_rows(file)
    return (Row(values, file, number) for number, values in enumerate(rows, start=1))


def counted(rows: Iterator[Row], left_out: Skipped) -> Iterator[Row]:
    for row in rows:
        left_out.seen += 1
        yield row


def reader_of(row: Row, given: Sequence[str]) -> tuple[Format, Reader]:
    """Detect the format of a row and its reader: from --columns, the columns of a public set, or the usual names.

    Raises `UserError` if it matches none, or lacks a column its format needs.
    """
    if given:
        return OWN, partial(own.read, columns=by_hand(given, row))
    names = tuple(map(str, row.values))
    best = max(FORMATS, key=lambda one: one.likeness(names))
    alike = best.likeness(names) >= 0.5
    # HPDv3 is known by path1 and path2 alone, and path1 is the better; a column that names the winner says otherwise.
    usual = find_columns(row) if not alike or best is OWN or (best is hpdv3.FORMAT and set(names) & VERDICTS) else None
    if usual:
        return OWN, partial(own.read, columns=usual if usual.foreign else OURS)
    if alike:
        missing = next((name for name in best.required if name not in names), None)
        if missing:
            raise UserError(f"{row.where} has no column {missing!r}, which {best.name} needs; it has {listed(row)}")
        return best, best.read
    nearest = sorted(FORMATS, key=lambda one: -nearness(one, names))[:2]
    raise UserError(
        f"{row.file} has no known format. It has {listed(row)}. The nearest formats: "
        f"{'; '.join(f'{one.name}: ' + ', '.join(one.required) for one in nearest)}. Rename the columns, or name them "
        "with --columns prompt=COLUMN first=COLUMN second=COLUMN label=COLUMN"
    )


def nearness(format: Format, names: Sequence[str]) -> float:
    """Similarity of a file's column names to those a format needs, from 0 to 1; ties go to our own format."""
    best = [max(SequenceMatcher(None, one, name.lower()).ratio() for name in names) for one in format.required]
    return sum(best) / len(best)


def files_of(source: Path | str) -> tuple[Path, ...]:
    """Find the local files of a source: itself, those in a folder, or those a glob matches."""
    path = Path(source)
    if path.is_dir():
        return files_in(path)
    if path.is_file() or not glob.has_magic(str(source)):
        hint = f"; for a set on the hub write {PREFIX}{source}" if len(path.parts) == 2 and not path.suffix else ""
        if not path.exists():
            raise UserError(f"no such file of pairs: {path}{hint}")
        return (path,)
    found = sorted(path for path in map(Path, glob.glob(str(source), recursive=True)) if path.name[0] != ".")
    if not found:
        raise UserError(f"no file matches {source}")
    return tuple(found)


def files_in(folder: Path) -> tuple[Path, ...]:
    """Choose the files of a folder: pairs.jsonl, or all with one ending and of one split."""
    if (folder / "pairs.jsonl").is_file():
        return (folder / "pairs.jsonl",)
    if any((folder / name).is_file() for name in SAVED):
        raise UserError(
            f"{folder} was saved by save_to_disk of datasets; write it as Parquet: "
            f"datasets.load_from_disk({str(folder)!r}).to_parquet(FILE), a file a split"
        )
    for place in (folder, folder / "data"):
        for suffixes in ((".tfrecord",), (".parquet",), tuple(SUFFIXES)):
            found = sorted(p for p in place.glob("[!.]*") if p.suffix.lower() in suffixes and p.is_file())
            if found:
                check_one_split(folder, found)
                return tuple(found)
    raise UserError(f"no pairs in {folder}: it needs files ending in {', '.join(SUFFIXES)}")


def check_one_split(folder: Path, files: Sequence[Path]) -> None:
    """Raise `UserError` if file names indicate several splits: training on all would leak the test split."""
    words = [SPLIT_WORD.search(file.name.lower()) for file in files]
    splits = {SPLITS.get(word[1], word[1]) for word in words if word}
    if len(splits) > 1:
        example = folder / f"{files[0].name.split('-')[0]}*"
        raise UserError(
            f"{folder} has several splits ({', '.join(sorted(splits))}); name one file or a glob, {example}"
        )
