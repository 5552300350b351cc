"""Atomic files and folders: written under a temporary name, flushed, then renamed."""

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
"""Error codes of a full disk, quota or size limit."""


@contextmanager
def space_for(path: Path) -> Iterator[None]:
    """Turn a full disk while writing `path` into a `UserError`."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise UserError(
            f"no space left to write {path} ({error.strerror}); free some and resume: what was saved before is intact"
        ) from error


def as_path(found: Any, what: str) -> Path:
    """Convert a path or a string to a path; raise `UserError`, naming `what` it should be, for anything else."""
    if not isinstance(found, str | Path):
        raise UserError(f"{what} must be a path or a string; got a value of type {type(found).__name__}")
    return Path(found)


def sync(path: Path) -> None:
    """Wait until a file or the entries of a folder are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically; raise `UserError` when the disk is full."""
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
    """Write a text file (UTF-8) atomically; raise `UserError` when the disk is full."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write a JSON file atomically; numbers that are not finite, which JSON does not have, become null."""
    # Lone surrogates (in a prompt) stay escaped: JSON allows them, UTF-8 does not.
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path, fix: str = "copy the folder again") -> Any:
    """Read a JSON file; raise a `UserError` that names the file and says how to fix it if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path} ({error}); {fix}") from error


def read_object(path: Path, fix: str = "copy the folder again") -> dict[str, Any]:
    """Read a JSON object; raise `UserError` as `read_json` does, and for any other value."""
    found = read_json(path, fix)
    if not isinstance(found, dict):
        raise UserError(f"{path} is not a JSON object; {fix}")
    return found


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it is renamed to `path` (replacing what was there) if the block succeeds."""
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
    """Return a hidden sibling of `path`: a rename is atomic only within one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.{what}")


def _swap(new: Path, path: Path) -> None:
    """Rename `new` to `path`; a folder cannot replace a non-empty one, so the old one is moved away first."""
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
