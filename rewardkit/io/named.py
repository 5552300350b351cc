"""NAME=WHAT on a command line: a folder, a model or a reward under a name chosen by the user."""

import os.path


def split_name(text: str) -> tuple[str, str]:
    """Split NAME=WHAT; the name is empty if none is given.

    A path may also contain an equals sign: an existing file or folder has precedence, and a name contains no slash.
    """
    name, equals, what = text.partition("=")
    if not equals or "/" in name or os.path.exists(text):  # False for a text too long for a path
        return "", text
    return name, what
