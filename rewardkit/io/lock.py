"""One command at a time writes to a folder."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from rewardkit.errors import UserError

try:
    import fcntl
except ImportError:  # another system than Unix: no lock
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


@contextmanager
def locked(folder: Path, who: str) -> Iterator[None]:
    """Make a folder where there is none, and keep other commands out of it; a killed process keeps nobody out.

    A folder that is still empty at the end goes again. Raises `UserError` naming the command that is in it.
    """
    made = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    file = take(folder, who) if fcntl else None
    try:
        yield
    finally:
        if file:
            (folder / NAME).unlink(missing_ok=True)
            file.close()
        with suppress(OSError):  # not empty
            for path in made:
                path.rmdir()


def take(folder: Path, who: str) -> TextIO:
    """Hold the lock file until it is closed; the system lets it go when the process ends, however it ends."""
    path = folder / NAME
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another command"
            file.close()
            raise UserError(f"{folder} is in use by {holder}; wait for it, or choose another --out") from None
        if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            break
        file.close()  # its last holder has just removed it
    file.truncate(0)
    file.write(f"`{who}` (process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')})\n")
    file.flush()
    return file
