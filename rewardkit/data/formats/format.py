"""What a format of pairs is: the columns it is known by, those it cannot do without, and its reader."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rewardkit.data.records.record import PreferenceRecord, RankedRecord
from rewardkit.data.records.rows import Row
from rewardkit.data.records.skipped import Skipped

Reader = Callable[[Iterable[Row], str | None, Skipped], Iterator[PreferenceRecord] | Iterator[RankedRecord]]
"""(rows of one file, the axis of a set that names none itself, what is left out) -> records."""


@dataclass(frozen=True)
class Format:
    """One way of writing pairs down."""

    name: str
    required: tuple[str, ...]
    """Columns the reader needs."""
    telling: tuple[str, ...]
    """Columns the format is known by: a file with half of them is taken for it."""
    read: Reader

    def likeness(self, columns: Iterable[str]) -> float:
        """The share of the telling columns that are there."""
        return len(set(self.telling) & set(columns)) / len(self.telling)
