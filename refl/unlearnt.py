"""Warnings about rewards that score all images the same, and about updates without a gradient."""

from collections.abc import Mapping, Sequence
from typing import Any

from rewardkit.rewards.panel import FLAT, Panel


def constant(panel: Panel, images: int) -> list[str]:
    """A line for every reward that scored all images of the base the same."""
    return [
        f"reward {name!r} gives {panel.part(name).mean:.4g} to all {images} images of the base; nothing can be learnt "
        "from it until its scores differ"
        for name in panel.constant
    ]


def unlearnt(panel: Panel, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for every reward whose scores never differed, and one if no update had a gradient.

    `rows` are those of metrics.jsonl.
    """
    still = [name for name in panel.constant if steady(panel.part(name).mean, rows, f"reward/{name}")]
    lines = [f"nothing was learnt from reward {name!r}: it gave every image the same score" for name in still]
    if rows and not any(row.get("grad_norm") for row in rows):
        lines.append(
            "nothing was learnt: the gradient was zero at every update, so the LoRA is unchanged; check "
            "the rewards, and raise --targets if they are past them"
        )
    return lines


def steady(value: float, rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    """Whether all values in a column, without empty ones, are this value."""
    seen = [row[column] for row in rows if row.get(column) is not None]
    return all(abs(each - value) <= FLAT * max(1.0, abs(value)) for each in seen)
