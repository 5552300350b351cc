"""Files and folders that are there whole or not at all: written under another name, flushed, then renamed."""

import errno
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rewardkit.errors import UserError

NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says when a disk, a quota or a limit is full."""


@contextmanager
def space_for(path: Path) -> Iterator[None]:
    """Turn a full disk while writing `path` into a `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise UserError(
            f"no space left to write {path} ({error.strerror}); free some and go on: what was saved before is intact"
        ) from error


def as_path(found: Any, what: str) -> Path:
    """Take a path or a string as a path; raise `UserError` for anything else, naming `what` it should be."""
    if not isinstance(found, str | Path):
        raise UserError(f"{what} must be a path or a string; got a value of type {type(found).__name__}")
    return Path(found)


def sync(path: Path) -> None:
    """Wait until a file or a folder's list of names is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; raise `UserError` when the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    with space_for(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) whole or not at all; raise `UserError` when the disk is full."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole or not at all; a number that is not finite, which JSON has no word for, becomes null."""
    # What is no Unicode text (half a surrogate pair in a prompt) stays escaped: JSON allows it, UTF-8 does not.
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path, mend: str = "copy the folder again") -> Any:
    """Read a JSON file. If it is none, raise a `UserError` that names the file and says how to fix it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} ({error}); {mend}") from error


def read_object(path: Path, mend: str = "copy the folder again") -> dict[str, Any]:
    """Read a JSON object; raise `UserError` as `read_json` does, and for another value."""
    found = read_json(path, mend)
    if not isinstance(found, dict):
        raise UserError(f"{path} is no JSON object; {mend}")
    return found


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it takes the name `path` (replacing what was there) once the block ends well."""
    temporary = beside(path)
    with space_for(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                sync(file)
            sync(temporary)
            _swap(temporary, path)
            sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def beside(path: Path, what: str = "new") -> Path:
    """Name a hidden neighbour of `path`: a rename is atomic only within one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.{what}")


def _swap(new: Path, path: Path) -> None:
    """Give `new` the name `path`; a folder cannot be renamed over a full one, so the old one steps aside first."""
    if not path.exists():
        new.replace(path)
        return
    old = beside(path, "old")
    path.replace(old)
    try:
        new.replace(path)
    except OSError:
        old.replace(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
