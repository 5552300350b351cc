"""The text that a prompt quotes: what must be written in the picture.

Quotes ('…' "…" “…” ‘…’ 「…」 『…』) switch the text reward on, feed the glyph encoder and may never be changed by a
rewriter, so one reading of them serves the whole project.
"""

import re

# A letter or digit of a script that writes apostrophes inside words; Chinese, Japanese and Korean do not, and put
# quotes right against their characters, so everything from U+2E80 on counts as a border.
_LETTER = r"[^\W_\u2e80-\uffff]"
_QUOTES = re.compile(
    r"“([^”\n]+)”"
    r"|「([^」\n]+)」"
    r"|『([^』\n]+)』"
    r'|(?<![0-9])"([^"\n]*)"'  # a digit before it makes it the inches of 7"
    rf"|(?<!{_LETTER})‘((?:[^’\n]|’(?={_LETTER}))+)’(?!{_LETTER})"
    rf"|(?<!{_LETTER})'(?=\S)((?:[^'\n]|'(?={_LETTER}))+)(?<=\S)'(?!{_LETTER})"
)


def quoted(prompt: str) -> list[str]:
    """Give the quoted texts of a prompt in order, without their quotes; apostrophes and inch marks are not quotes."""
    texts = ("".join(group or "" for group in match.groups()).strip() for match in _QUOTES.finditer(prompt))
    return [text for text in texts if text]


def without_quotes(prompt: str) -> str:
    """Leave the quoted texts of a prompt out, quotes and all: what is said, and not what is to be written."""
    return _QUOTES.sub(" ", prompt)


def has_text(prompt: str) -> bool:
    """Say whether a prompt asks for text in the picture, that is, quotes some."""
    return bool(quoted(prompt))


def wanted_text(prompt: str) -> str:
    """Join the quoted texts of a prompt with spaces; empty when there are none."""
    return " ".join(quoted(prompt))
