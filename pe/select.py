"""Select the best and the worst rewrite of a prompt from the scores of its images."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Scored:
    """One wording of a prompt and the panel's score of its images with the original prompt."""

    text: str
    score: float
    image: Path


@dataclass(frozen=True)
class Candidates:
    """A prompt as it was typed, and its rewrites."""

    original: Scored
    rewrites: Sequence[Scored]

    @property
    def best(self) -> Scored:
        return max(self.rewrites, key=lambda each: each.score)

    @property
    def worst(self) -> Scored:
        return min(self.rewrites, key=lambda each: each.score)


def pair(group: Candidates, margin: float) -> tuple[dict[str, Any] | None, str]:
    """Make a SimPO row from the best and the worst rewrite, or return the reason why there is none."""
    if not group.rewrites:
        return None, "no rewrite that differs from the prompt"
    if len(group.rewrites) < 2:
        return None, "only one rewrite"
    best, worst = group.best, group.worst
    if best.score - worst.score < margin or best.score == worst.score:
        return None, "best and worst score too close"
    return {
        "prompt": group.original.text,
        "chosen": best.text,
        "rejected": worst.text,
        "chosen_score": best.score,
        "rejected_score": worst.score,
        "prompt_score": group.original.score,
        "images": [str(best.image), str(worst.image)],
    }, ""


def example(group: Candidates, margin: float) -> tuple[dict[str, Any] | None, str]:
    """Make an SFT row from the best rewrite if it beats the prompt as typed by the margin; else return the reason."""
    if not group.rewrites:
        return None, "no rewrite that differs from the prompt"
    if group.best.score - group.original.score < margin:
        return None, "no rewrite beats the prompt as typed"
    return {
        "prompt": group.original.text,
        "completion": group.best.text,
        "score": group.best.score,
        "prompt_score": group.original.score,
    }, ""


def split(results: Sequence[tuple[dict[str, Any] | None, str]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Separate the rows from the reasons for missing rows, and count the reasons."""
    rows = [row for row, _ in results if row is not None]
    return rows, dict(Counter(reason for row, reason in results if row is None))
