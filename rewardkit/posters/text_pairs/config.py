"""Options of `rewardkit pairs text`."""

from dataclasses import dataclass
from pathlib import Path

LANGUAGE = "language"
"""The kind in which another language's text replaces the wanted one."""


KINDS = ("swapped", "missing", "doubled", LANGUAGE, "strokes", "giant")
"""All kinds of flaws; a test compares them with `flaws`."""


@dataclass(frozen=True)
class TextPairsConfig:
    """Make preference pairs of posters with right and wrong text; print how many were written and skipped."""

    out: Path
    """Folder to write: pairs.jsonl and images/."""
    language: str = "en"
    """Language of the text: en, zh, ko, ja, ru, el; any other together with --words. Captions are in en, zh or ko."""
    count: int = 1000
    """Pairs to make."""
    fonts: Path | None = None
    """Folder of fonts (.ttf, .otf, .ttc) to choose from; by default the built-in ones."""
    words: Path | None = None
    """File of texts, one per line (.txt), instead of the built-in ones."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of flaws, each used equally often."""
    size: int = 64
    """Width and height of a poster in pixels."""
    seed: int = 0
    """Random seed; the same seed gives the same pairs."""
