"""NAME=WHAT on a command line: a folder, a model or a reward under a name of the user's choice."""

import os.path


def split_name(text: str) -> tuple[str, str]:
    """Split NAME=WHAT; the name is empty where none is given.

    An equals sign may also stand in a path: a file or folder of the whole text comes first, and a name holds no slash.
    """
    name, equals, what = text.partition("=")
    if not equals or "/" in name or os.path.exists(text):  # a text too long for a path is no path
        return "", text
    return name, what
