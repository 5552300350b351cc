"""Choose some of a list."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def evenly(items: Sequence[T], count: int) -> list[T]:
    """Take `count` items spread evenly over a list, which is often sorted by kind; a shorter list repeats its items."""
    return [items[index * len(items) // count] for index in range(count)]
