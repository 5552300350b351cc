"""A format of pairs: the columns that identify it, the columns it requires, and its reader."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rewardkit.data.records.record import PreferenceRecord, RankedRecord
from rewardkit.data.records.rows import Row
from rewardkit.data.records.skipped import Skipped

Reader = Callable[[Iterable[Row], str | None, Skipped], Iterator[PreferenceRecord] | Iterator[RankedRecord]]
"""(rows of one file, the axis if the set names none, what is left out) -> records."""


@dataclass(frozen=True)
class Format:
    """One format of pairs."""

    name: str
    required: tuple[str, ...]
    """Columns that the reader requires."""
    telling: tuple[str, ...]
    """Columns that identify the format: a file with half of them has this format."""
    read: Reader

    def likeness(self, columns: Iterable[str]) -> float:
        """The fraction of the identifying columns that are present."""
        return len(set(self.telling) & set(columns)) / len(self.telling)
