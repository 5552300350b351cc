"""Progress of a long loop: a bar on a terminal, occasional plain lines in a log."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

LINE_EVERY = 5.0
"""Seconds between two lines without a terminal."""


class Progress:
    """Count the steps of a loop; use it as `with Progress("refl", 100) as bar: ... bar.update(loss=0.3)`."""

    def __init__(self, label: str, total: int, start: int = 0) -> None:
        self.label, self.total, self.done, self.first = label, total, start, start
        self.began = self.spoke = time.monotonic()
        self.numbers = ""
        self.bar = tqdm(total=total, initial=start, desc=label, dynamic_ncols=True) if sys.stderr.isatty() else None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, steps: int = 1, **numbers: float) -> None:
        """Add `steps` and show the numbers next to them."""
        self.done += steps
        self.numbers = " ".join(f"{name}={value:.4g}" for name, value in numbers.items()) or self.numbers
        if self.bar is not None:
            self.bar.set_postfix_str(self.numbers, refresh=False)
            self.bar.update(steps)
        elif self.done >= self.total or time.monotonic() - self.spoke >= LINE_EVERY:
            self._say()

    def _say(self) -> None:
        self.spoke = time.monotonic()
        seconds = self.spoke - self.began
        rate = (self.done - self.first) / max(seconds, 1e-9)
        left = f", {(self.total - self.done) / rate:.0f} s left" if rate and self.done < self.total else ""
        print(
            f"{self.label}: {self.done}/{self.total} in {seconds:.0f} s{left} {self.numbers}".rstrip(),
            file=sys.stderr,
            flush=True,
        )
