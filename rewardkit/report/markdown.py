"""Tables in Markdown, safe for user text."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table with right-aligned numbers."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *rows])


def plain(words: str) -> str:
    """Escape user text so that it stays on one line, in its cell, and is not markup."""
    line = " ".join(words.split())
    for mark in "\\|<`*[":
        line = line.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return line
