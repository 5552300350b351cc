"""Find real fonts: the bundled one, those of the system, and those of a user's folder.

matplotlib ships DejaVu, so Latin text never needs an installed font. Chinese needs one; if there is none, this is an
error instead of boxes in the image.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import matplotlib
from PIL import ImageFont

LATIN = "DejaVuSansMono-Bold.ttf"
CJK_NAMES = ("notosanscjk", "notoserifcjk", "sourcehan", "wqy", "droidsansfallback", "msyh", "simhei", "pingfang")
SYSTEM_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".fonts",
    Path.home() / ".local/share/fonts",
    Path("/Library/Fonts"),
    Path("/System/Library/Fonts"),
    Path("C:/Windows/Fonts"),
)

PROBE = 32
"""Pixels at which a glyph is looked at."""
NO_CHARACTER = "\U0010ffff"
"""A code point that will never be a character: every font draws its missing glyph for it."""


def latin_font() -> Path:
    """The bold monospaced font that every installation has."""
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / LATIN


@cache
def cjk_font() -> Path | None:
    """A font with Chinese characters, or `None` if the system has none."""
    for folder in SYSTEM_FOLDERS:
        for path in font_files(folder):
            if any(name in path.name.lower().replace("-", "") for name in CJK_NAMES):
                return path
    return None


def font_files(folder: Path) -> Iterator[Path]:
    """Every font file below a folder, in name order."""
    yield from sorted(path for path in folder.rglob("[!.]*") if path.suffix.lower() in {".ttf", ".otf", ".ttc"})


def font_for(text: str) -> Path:
    """A font that draws the characters of this text; raise `LookupError`, naming what to install, if none does."""
    font = latin_font() if all(ord(character) < 0x2E80 for character in text) else cjk_font()
    if font is None or not draws(font, text):
        raise LookupError(f"no font that draws the characters of {text!r} found; install one, such as fonts-noto-cjk")
    return font


@cache
def load_font(path: Path, pixels: int) -> ImageFont.FreeTypeFont:
    """Open a font at a size in pixels."""
    return ImageFont.truetype(str(path), pixels)


def draws(path: Path, text: str) -> bool:
    """Say whether a font has a shape for every character of a text but spaces."""
    return all(has_shape(path, character) for character in text if not character.isspace())


@cache
def has_shape(path: Path, character: str) -> bool:
    """Say whether a font leaves ink for a character, and not that which stands for all that it lacks.

    A character map promises more than that: it may lead to blank glyphs, or to the box of missing ones.
    """
    drawn, missing = (load_font(path, PROBE).getmask(one) for one in (character, NO_CHARACTER))
    return drawn.getbbox() is not None and (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))
