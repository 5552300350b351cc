"""Plain-text tables for a terminal."""

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Pad cells so that columns align: the first `left` columns to the left, the others to the right.

    All rows have as many cells as the first.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def pad(place: int, cell: str) -> str:
        return cell.ljust(widths[place]) if place < left else cell.rjust(widths[place])

    return ["  ".join(pad(place, cell) for place, cell in enumerate(row)).rstrip() for row in rows]
