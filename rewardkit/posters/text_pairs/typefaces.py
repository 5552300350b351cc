"""The fonts of a folder, and which of them have the letters of a text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from matplotlib.ft2font import FT2Font
from torch import Generator

from rewardkit.data import Skipped
from rewardkit.errors import UserError
from rewardkit.posters.fonts import cjk_font, draws, font_files, latin_font
from rewardkit.posters.scene import pick


@dataclass(frozen=True)
class Typeface:
    """One font file (the first face of a collection) and the characters it draws."""

    path: Path

    @cached_property
    def letters(self) -> frozenset[int]:
        """Code points with a glyph; raises `RuntimeError` if the file is not a font."""
        return frozenset(FT2Font(str(self.path)).get_charmap())

    def has(self, text: str) -> bool:
        """Whether every letter is in the character map and has a shape of its own."""
        mapped = all(ord(letter) in self.letters for letter in text if not letter.isspace())
        return mapped and draws(self.path, text)


def built_in() -> list[Typeface]:
    """The built-in fonts: DejaVu from matplotlib, and the system's Chinese font if there is one."""
    return [Typeface(path) for path in (latin_font(), cjk_font()) if path]


def read_folder(folder: Path, skipped: Skipped) -> list[Typeface]:
    """All readable fonts below a folder, counting broken ones; raise `UserError` if there is none."""
    if not folder.is_dir():
        raise UserError(f"no folder at {folder}; give one with .ttf, .otf or .ttc files")
    found = []
    for path in font_files(folder):
        skipped.seen += 1
        face = Typeface(path)
        try:
            face.has("A")  # read and drawn now, so that a broken file is met here
        except (RuntimeError, OSError) as error:
            skipped.add("unreadable font", f"{path}: {error}")
        else:
            found.append(face)
    if not found:
        raise UserError(f"no readable font (.ttf, .otf, .ttc) in {folder}; {skipped.count} files were broken")
    return found


def select(faces: Sequence[Typeface], texts: Iterable[str], generator: Generator) -> Typeface | None:
    """Choose one of the fonts that have every letter of these texts; `None` if there is none."""
    joined = "".join(texts)
    able = [face for face in faces if face.has(joined)]
    return pick(able, generator) if able else None
