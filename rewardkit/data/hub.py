"""Rows of a data set on the Hugging Face hub, streamed: only the rows that are read are downloaded.

A source is `hub:OWNER/NAME`, optionally with `#CONFIG`, `@SPLIT` and `[:N]` (the first N rows):
`hub:yuvalkirstain/pickapic_v1@validation[:1000]`. A local folder in the hub's layout works too. Images are
cached under $REWARDKIT_CACHE (~/.cache/rewardkit), named by a hash of their content, so that an image is stored once.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError, first_line
from rewardkit.io.files import write_bytes

PREFIX = "hub:"
SOURCE = re.compile(r"hub:(?P<name>[^@#]+)(#(?P<config>[^@]+))?(@(?P<split>[^\[]+))?(\[:(?P<limit>\d+)\])?")


def read_hub(source: str, cache: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data set on the hub; raise `UserError` for a source that cannot be opened."""
    found = SOURCE.fullmatch(source)
    if not found:
        raise UserError(
            f"{source!r} is not a hub source; write hub:OWNER/NAME#CONFIG@SPLIT[:N], where all but the name is optional"
        )
    rows = open_stream(found["name"], found["config"], found["split"])
    limit = int(found["limit"]) if found["limit"] else None
    cache = cache or Path(os.environ.get("REWARDKIT_CACHE", "~/.cache/rewardkit")).expanduser()
    for row in islice(unbroken(rows, source), limit):
        yield {name: kept(value, cache / "images") for name, value in row.items()}


def unbroken(rows: Any, source: str) -> Iterator[Mapping[str, Any]]:
    """Yield rows; raise `UserError` with the number of rows read if the stream fails."""
    number = 0
    try:
        for row in rows:
            yield row
            number += 1
    except (OSError, ValueError) as error:  # network errors, or a file that is not Parquet
        raise UserError(
            f"{source} failed after {number} rows: {first_line(error)}; run it again, or stop before that row with [:N]"
        ) from error


def open_stream(name: str, config: str | None, split: str | None) -> Any:
    """Open a data set as a stream of rows whose images are bytes."""
    from datasets import IterableDataset, load_dataset

    try:
        data = load_dataset(name, config, split=split, streaming=True)
    except (OSError, ValueError) as error:  # no such set, no such split, no network
        raise UserError(f"cannot open {PREFIX}{name}: {first_line(error)}; check name, config and split") from error
    if not isinstance(data, IterableDataset):
        if len(data) != 1:
            raise UserError(f"{PREFIX}{name} has several splits; add one of @{', @'.join(data)}")
        (data,) = data.values()
    return data.decode(False)


def kept(value: Any, folder: Path) -> Any:
    """Write an encoded image to a file and return its path; return every other value unchanged."""
    data = value.get("bytes") if isinstance(value, Mapping) and value.keys() <= {"bytes", "path"} else value
    if not isinstance(data, bytes):
        return value
    name = hashlib.sha256(data).hexdigest()
    path = folder / name[:2] / name[2:]
    if not path.is_file():
        write_bytes(path, data)
    return path
