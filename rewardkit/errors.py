"""The one exception that is the user's to mend: the command prints it as one line and exits with 2."""


class UserError(Exception):
    """Something the user gave is wrong; the message says what, where, and how to mend it, in one line."""


def first_line(error: BaseException) -> str:
    """What a library's error says, in its first line; its type's name where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
