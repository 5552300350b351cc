"""Load untrusted files: whatever a library raises for a broken or hostile folder becomes a one-line error."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rewardkit.errors import UserError, first_line


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Turn whatever a library raises in the block into a `UserError`: "cannot load WHAT: ...".

    Libraries raise any exception, including `Exception` itself (tokenizers), for files that are missing, broken, nested
    a hundred thousand levels deep, or of another kind.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"cannot load {what}: {first_line(error)}") from error


@contextmanager
def at_most(seconds: float, what: str) -> Iterator[None]:
    """Stop Python code in the block after some seconds with a `UserError` that names `what`.

    It uses the alarm signal: outside the main thread, or on systems without this signal, there is no limit.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise UserError(f"{what} did not end within {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
