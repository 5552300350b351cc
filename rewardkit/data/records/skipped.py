"""What was skipped in a set of pairs, and why: counted, listed in a report, and an error above a given fraction."""

from dataclasses import dataclass, field
from pathlib import Path

from rewardkit.errors import UserError
from rewardkit.io.files import write_json


@dataclass
class Skipped:
    """What was skipped in a file of pairs, and why; it is written to a report and, above `max_bad`, stops the run."""

    seen: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        self.reasons.setdefault(reason, []).append(where)

    @property
    def count(self) -> int:
        return sum(len(places) for places in self.reasons.values())

    def summary(self) -> str:
        """One line with the counts by reason; empty if nothing was skipped."""
        parts = ", ".join(f"{len(places)} {reason}" for reason, places in self.reasons.items())
        return f"skipped {self.count} of {self.seen} pairs: {parts}" if parts else ""

    def enforce(self, max_bad: float, report: Path | None = None) -> None:
        """Write the report; raise `UserError`, naming the first bad row, if more than the fraction `max_bad` is bad."""
        if report is not None and self.count:
            write_json(report, {"seen": self.seen, "skipped": self.count, "reasons": self.reasons})
        if self.count > max_bad * self.seen:
            reason, places = next(iter(self.reasons.items()))
            more = f" (and {self.count - 1} more, listed in {report})" if self.count > 1 and report else ""
            raise UserError(f"{reason}: {places[0]}{more}; fix it, or allow a fraction of bad pairs with --max-bad")
