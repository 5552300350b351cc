"""Text becomes HTML here and nowhere else: what a user typed is escaped, and the type says so.

`Html` is finished markup. A function that takes `Text` escapes plain strings and leaves `Html` alone, so a prompt can
only reach a page escaped; mypy refuses to hand a plain string where markup is wanted.
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
    """Wrap children in an element; plain strings among them are escaped, and so are the attributes' values."""
    written = join(Html(' {}="{}"').format(key, escape(value)) for key, value in (attributes or {}).items())
    return Html("<{0}{1}>{2}</{0}>").format(Html(name), written, join(children))


def div(kind: str, *children: Text) -> Html:
    return element("div", *children, attributes={"class": kind})


def span(kind: str, *children: Text) -> Html:
    return element("span", *children, attributes={"class": kind})


def anchor(title: str) -> str:
    """Turn a section's title into an id for links to it."""
    words = "".join(letter if letter.isalnum() else " " for letter in title.lower()).split()
    return "-".join(words) or "section"
