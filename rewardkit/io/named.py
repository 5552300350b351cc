"""Names that users give: NAME=WHAT on a command line, and files that another system names slightly differently."""

import os.path
import unicodedata
from pathlib import Path


def split_name(text: str) -> tuple[str, str]:
    """Split NAME=WHAT; the name is empty if none is given.

    A path may also contain an equals sign: an existing file or folder has precedence, and a name contains no slash.
    """
    name, equals, what = text.partition("=")
    if not equals or "/" in name or os.path.exists(text):  # False for a text too long for a path
        return "", text
    return name, what


def find_named(base: Path, name: str) -> Path:
    """Find what a list or a user names, relative to `base`: as given if that exists or nothing does.

    Else the name with slashes for backslashes (lists written on Windows), or with its letters composed or decomposed
    (macOS writes an umlaut as two characters).
    """
    given = base / name
    if name.isascii() and "\\" not in name:
        return given
    spellings = (name, name.replace("\\", "/"))
    found = (base / unicodedata.normalize(form, one) for one in spellings for form in ("NFC", "NFD"))
    return next((path for path in (given, base / spellings[1], *found) if os.path.exists(path)), given)
