"""Errors that a command shows as one line: what a user can fix (exit code 2), a stop by a signal; near-miss hints."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error that the user can fix; the message says in one line what is wrong, where, and how to fix it."""


class Interrupted(KeyboardInterrupt):
    """A signal ended a run after an update, whose checkpoint is saved."""

    def __init__(self, update: int, signal_number: int) -> None:
        super().__init__(f"interrupted at update {update}")
        self.exit_status = 128 + signal_number
        """The exit code of shells for a process that this signal ended."""


def first_line(error: BaseException) -> str:
    """The first line of a library's error; its type's name if it is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Name the closest known word, or list all: the second half of an error message."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(names)}" if names else "none is known"
