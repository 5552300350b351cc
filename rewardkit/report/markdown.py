"""Tables in Markdown, safe for what users type."""

from collections.abc import Iterable, Sequence


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table, its numbers to the right."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *rows])


def plain(words: str) -> str:
    """Keep what a user typed on one line and inside its cell, and out of the markup."""
    line = " ".join(words.split())
    for mark in "\\|<`*[":
        line = line.replace(mark, "&lt;" if mark == "<" else f"\\{mark}")
    return line
