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
    """A font with the characters of this text; raise `LookupError` naming the package to install if there is none."""
    if all(ord(character) < 0x2E80 for character in text):
        return latin_font()
    font = cjk_font()
    if font is None:
        raise LookupError(f"no font with the characters of {text!r} found; install one, such as fonts-noto-cjk")
    return font


@cache
def load_font(path: Path, pixels: int) -> ImageFont.FreeTypeFont:
    """Open a font at a size in pixels."""
    return ImageFont.truetype(str(path), pixels)
