"""Text becomes HTML only here: user text is escaped, and the type shows it.

`Html` is finished markup. A function that takes `Text` escapes plain strings and leaves `Html` unchanged, so a prompt
can only reach a page escaped; mypy rejects a plain string where markup is expected.
"""

from collections.abc import Iterable, Mapping

import markupsafe

Html = markupsafe.Markup
"""Finished markup, safe to put in a page."""

Text = str | Html


def escape(text: Text) -> Html:
    """Escape a plain string (quotes too, and what is not a Unicode character); finished markup passes through."""
    return text if isinstance(text, Html) else markupsafe.escape(text.encode("utf-8", "replace").decode("utf-8"))


def join(parts: Iterable[Text], separator: str = "") -> Html:
    return Html(separator).join(map(escape, parts))


def element(name: str, *children: Text, attributes: Mapping[str, str] | None = None) -> Html:
    """Wrap children in an element; plain strings and the attributes' values are escaped."""
    written = join(Html(' {}="{}"').format(key, escape(value)) for key, value in (attributes or {}).items())
    return Html("<{0}{1}>{2}</{0}>").format(Html(name), written, join(children))


def div(kind: str, *children: Text) -> Html:
    return element("div", *children, attributes={"class": kind})


def span(kind: str, *children: Text) -> Html:
    return element("span", *children, attributes={"class": kind})


def anchor(title: str) -> str:
    """Convert a section's title to an id for links."""
    words = "".join(letter if letter.isalnum() else " " for letter in title.lower()).split()
    return "-".join(words) or "section"
