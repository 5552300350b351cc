"""Preference pairs: the record, the readers of every public set and of our own files, and checks of the data.

`read_records` takes a file, a folder, a glob or a hub id and detects the format (see `read`).
`read_pairs` and `write_pairs` are for files of our own (see `own`).
"""

from rewardkit.data.formats.own import read_pairs, to_row, write_pairs
from rewardkit.data.read import Reading, Record, as_reading, read_and_report, read_records, read_source
from rewardkit.data.records.cells import CellImage
from rewardkit.data.records.record import (
    OVERALL,
    ImageRef,
    PreferenceRecord,
    RankedRecord,
    axes_of,
    shared_images,
    split,
)
from rewardkit.data.records.rows import read_rows
from rewardkit.data.records.skipped import Skipped

__all__ = [
    "OVERALL",
    "CellImage",
    "ImageRef",
    "PreferenceRecord",
    "RankedRecord",
    "Reading",
    "Record",
    "Skipped",
    "as_reading",
    "axes_of",
    "read_and_report",
    "read_pairs",
    "read_records",
    "read_rows",
    "read_source",
    "shared_images",
    "split",
    "to_row",
    "write_pairs",
]
