"""Which texts can be measured: text that the engines cannot read is refused, because they would silently misread it."""

import importlib.util
import unicodedata
from functools import cache
from pathlib import Path

from rewardkit.errors import UserError
from rewardkit.ocr.onnx import read_notes
from rewardkit.ocr.tesseract import languages
from rewardkit.ocr.text import kept, normalise

SCRIPTS = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "FULLWIDTH", "HALFWIDTH", "KATAKANA-HIRAGANA"})
"""First words of the Unicode names of letters that the bundled models know."""
KOREAN = "kor"
"""Tesseract's name of the language that it reads instead of RapidOCR, if installed."""


def unreadable(text: str) -> list[str]:
    """Name the scripts in a text that the bundled models do not know, such as HANGUL; empty when it can be measured."""
    return sorted({script(character) for character in text if character.isalpha()} - SCRIPTS)


def script(letter: str) -> str:
    """The first word of a letter's Unicode name: LATIN, CJK, HANGUL, ..."""
    return unicodedata.name(letter, "?").split()[0]


def needs_tesseract(text: str) -> bool:
    """Return whether a text contains Korean, which only tesseract reads."""
    return "HANGUL" in unreadable(text)


def measurable(wanted: str, *, korean: bool | None = None) -> bool:
    """Whether `check_measurable` lets a text pass."""
    try:
        check_measurable(wanted, korean=korean)
    except UserError:
        return False
    return True


def check_measurable(wanted: str, *, korean: bool | None = None) -> None:
    """Raise `UserError`, naming the script or the letters, for text that cannot be measured.

    `korean`: whether Korean can be measured; by default, if tesseract with its `kor` model is installed.
    """
    korean = KOREAN in languages() if korean is None else korean
    scripts = [name for name in unreadable(wanted) if not (korean and name == "HANGUL")]
    if scripts:
        raise UserError(
            f"{wanted!r} is not measurable: the bundled OCR models do not know {scripts[0].title()} letters; "
            f"{KOREAN_HINT if scripts[0] == 'HANGUL' else ''}leave such prompts out of the text axis, "
            "or quote Latin, Chinese or Japanese text"
        )
    letters = [] if needs_tesseract(wanted) else unknown_letters(wanted)
    if letters:
        raise UserError(
            f"{wanted!r} is not measurable: the bundled OCR models do not know {' '.join(letters)}; "
            "leave such prompts out of the text axis, or quote text without them"
        )


KOREAN_HINT = "install tesseract with its Korean (tesseract-ocr-kor) for `ocr`, "


def unknown_letters(text: str) -> list[str]:
    """Name the letters of a text that the bundled recogniser has no class for, such as rare Chinese characters."""
    return sorted({character for character in text if kept(character) and not set(normalise(character)) <= _known()})


@cache
def _known() -> frozenset[str]:
    return frozenset("".join(normalise(character) for character in characters()))


@cache
def characters() -> tuple[str, ...]:
    """The characters of the bundled recogniser, in the order of its classes 1, 2, ... (0: the blank)."""
    return (*read_notes(recogniser_file())["character"].removesuffix("\n").split("\n"), " ")


def recogniser_file() -> Path:
    """The recogniser in RapidOCR's wheel; raise `UserError` if it is missing."""
    found = importlib.util.find_spec("rapidocr")
    folder = Path(found.origin).parent / "models" if found and found.origin else Path("rapidocr")
    models = sorted(folder.glob("*_rec_*.onnx"))
    if not models:
        raise UserError(f"no recogniser (*_rec_*.onnx) in {folder}; install rapidocr>=3.10,<4 again")
    return models[0]
