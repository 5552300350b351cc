"""Stop a training loop early: on SIGINT and SIGTERM the update finishes and a checkpoint is saved."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from rewardkit.errors import Interrupted
from rewardkit.training.processes import ALONE, Processes

SIGNALS = (signal.SIGINT, signal.SIGTERM)

SAME_SIGNAL = 1.0
"""Seconds within which a second signal is ignored: launchers forward a Ctrl-C that the process already received."""


class Interrupt:
    """Use it as `with Interrupt(world) as interrupt:` around a loop, and call `interrupt.due()` after every update.

    The first signal only sets a flag; a later signal has its original effect, so it stops the process at once. A signal
    that the process ignores (as under nohup) stays ignored. Outside the main thread no handler is installed.
    """

    def __init__(self, world: Processes = ALONE) -> None:
        self.world = world
        self.received, self.since = 0, 0.0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self.before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def due(self) -> bool:
        """Whether any process has received a signal; call it on all processes, or they wait for each other forever."""
        self.received = max(self.world.gather(self.received))
        return bool(self.received)

    def leave(self, update: int, close: Callable[[], None] = lambda: None) -> None:
        """Raise `Interrupted` after the checkpoint of this update is saved; `close` is called first."""
        close()
        raise Interrupted(update, self.received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self.received:
            self.received, self.since = number, time.monotonic()
            if self.world.is_main:  # print() may be in the middle of a line; this is safe in a handler
                os.write(2, b"\nstopping after this update; interrupt again to stop at once\n")
        elif time.monotonic() - self.since >= SAME_SIGNAL:
            self._restore()
            signal.raise_signal(number)

    def _restore(self) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}
