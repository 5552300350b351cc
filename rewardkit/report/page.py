"""Build a report as one self-contained HTML page: no scripts, no requests, embedded images.

A page is a title and sections; a section is a title, an introduction, and blocks made by the pure functions below and
in `plots`. Any command can build its own report from them; text is escaped (see `html`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from rewardkit.report.html import Html, Text, anchor, div, element, escape, join, span
from rewardkit.report.numbers import interval, number, percent, percent_interval, signed
from rewardkit.report.plots import Interval, Series, curves, forest
from rewardkit.stats import Estimate, WinRate

__all__ = [
    "Card",
    "Html",
    "Interval",
    "Picture",
    "Row",
    "Section",
    "Series",
    "cards",
    "charts",
    "curves",
    "difference_cell",
    "direction",
    "estimate_cell",
    "forest",
    "gallery",
    "heading",
    "page",
    "share_matrix",
    "table",
    "text",
    "win_cell",
]

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Section:
    """A part of a page under its own title."""

    title: str
    blocks: Sequence[Html]
    words: str = ""
    """What the reader must know to understand it; one or two sentences."""


@dataclass(frozen=True)
class Card:
    """One headline figure."""

    label: str
    value: str
    note: str = ""
    """Smaller text below; line breaks are kept."""
    good: bool | None = None
    """Colours the value: green, red, or neither."""


@dataclass(frozen=True)
class Picture:
    """An image of a gallery; missing if the source is empty."""

    source: str
    """A data URI (see `thumbnails`)."""
    label: str
    facts: Mapping[str, str] = field(default_factory=dict)
    """Names and values to show below, such as its scores."""
    pixels: bool = False
    """Keep the edges of a small image sharp when it is shown larger."""


@dataclass(frozen=True)
class Row:
    """Images of one prompt, side by side."""

    prompt: str
    pictures: Sequence[Picture]


def page(
    title: str, sections: Sequence[Section], *, subtitle: str = "", footer: Text = "", language: str = "en"
) -> str:
    """Put sections on one page; it makes no requests, and its content security policy forbids them."""
    links = [element("a", part.title, attributes={"href": f"#{anchor(part.title)}"}) for part in sections]
    nav = element("nav", *links) if len(sections) > 2 else Html("")
    header = element("header", element("h1", title), element("p", subtitle) if subtitle else "", nav)
    main = element("main", *(section(part) for part in sections))
    end = element("footer", element("p", footer)) if footer else Html("")
    style = files("rewardkit.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n{header}\n{main}\n{end}\n</body>\n</html>\n"
    )


def section(part: Section) -> Html:
    words = element("p", part.words) if part.words else Html("")
    title = element("h2", part.title)
    return element("section", title, words, *part.blocks, attributes={"id": anchor(part.title)})


def heading(title: str, words: str = "", *, aside: str = "") -> Html:
    """Write the heading of a block inside a section; `aside` is smaller text next to it."""
    beside = join([" ", span("aside", aside)]) if aside else Html("")
    return div(
        "block", element("h3", title, beside), element("p", words, attributes={"class": "note"}) if words else ""
    )


def text(words: str) -> Html:
    """Write a paragraph."""
    return element("p", words)


def cards(items: Sequence[Card]) -> Html:
    """Lay out headline figures."""
    return element("div", *(card(item) for item in items), attributes={"class": "cards"})


def card(item: Card) -> Html:
    colour = {True: "good", False: "bad", None: ""}[item.good]
    value = element("dd", item.value, attributes={"class": colour} if colour else None)
    notes = [element("span", line) for line in item.note.splitlines()]
    return element("dl", element("dt", item.label), value, element("dd", *notes), attributes={"class": "card"})


def table(
    header: Sequence[str], rows: Sequence[Sequence[Text]], *, caption: str = "", numbers: int | None = None
) -> Html:
    """Lay out rows; the first cell is the row's header, the last `numbers` columns (default: others) align right."""
    first = 1 if numbers is None else len(header) - numbers
    kind = ["number" if i >= first else "" for i in range(len(header))]
    head = element("tr", *(cell("th", name, kind[i], "col") for i, name in enumerate(header)))
    body = [
        element("tr", *(cell("td" if i else "th", value, kind[i], "" if i else "row") for i, value in enumerate(row)))
        for row in rows
    ]
    named = element("caption", caption) if caption else Html("")
    return div("scroll", element("table", named, element("thead", head), element("tbody", *body)))


def cell(name: str, value: Text, kind: str, scope: str = "") -> Html:
    attributes = {key: given for key, given in (("class", kind), ("scope", scope)) if given}
    return element(name, value, attributes=attributes)


def estimate_cell(estimate: Estimate, digits: int = 3) -> Html:
    """Write a figure with its interval and n below."""
    return join(
        [
            number(estimate.value, digits),
            span("small", span("whole", interval(estimate, digits)), " ", span("whole", f"n {estimate.n}")),
        ]
    )


def difference_cell(estimate: Estimate | None, digits: int = 3) -> Html:
    """Write a difference with its interval below, coloured if the interval excludes zero."""
    if estimate is None:
        return Html("–")
    return join(
        [
            span(direction(estimate), signed(estimate.value, digits)),
            span("small", span("whole", interval(estimate, digits))),
        ]
    )


def direction(change: Estimate) -> str:
    """Name the colour of a change: good or bad if its interval excludes zero."""
    return "good" if change.low > 0 else "bad" if change.high < 0 else ""


def win_cell(rate: WinRate | None) -> Html:
    """Write a win rate with its interval below."""
    if rate is None:
        return Html("–")
    return join([percent(rate.value), span("small", span("whole", percent_interval(rate)))])


def share_matrix(names: Sequence[str], shares: Sequence[Sequence[float | None]], *, caption: str) -> Html:
    """Lay out how often the row's entry beats the column's, shaded by the win rate."""
    head = element("tr", element("td"), *(element("th", name, attributes={"scope": "col"}) for name in names))
    rows = [
        element("tr", element("th", name, attributes={"scope": "row"}), *(share_cell(share) for share in line))
        for name, line in zip(names, shares, strict=True)
    ]
    body = [element("thead", head), element("tbody", *rows)]
    words = element("p", caption, attributes={"class": "note"})
    return join([words, div("scroll", element("table", *body, attributes={"class": "matrix"}))])


def share_cell(share: float | None) -> Html:
    if share is None:
        return element("td", "·")
    return element("td", percent(share), attributes={"class": "share", "style": f"--share: {45 * share:.0f}%"})


def charts(*plots: Html) -> Html:
    """Put several curves side by side if there is room."""
    return div("charts", *plots)


def gallery(rows: Sequence[Row]) -> Html:
    """Show each prompt's images side by side, with the prompt below."""
    count = max((len(row.pictures) for row in rows), default=1)
    wide = "100%" if count > 3 else f"{9 * count}rem"
    style = f"--count: {count}; --wide: {wide}"
    shown = [
        element(
            "figure",
            div("pictures", *map(picture, row.pictures)),
            element("figcaption", row.prompt, attributes={"dir": "auto"}),
        )
        for row in rows
    ]
    return element("div", *shown, attributes={"class": "gallery many" if count > 3 else "gallery", "style": style})


def picture(one: Picture) -> Html:
    facts = [element("span", element("em", name), element("i", value)) for name, value in one.facts.items()]
    words = div("words", element("b", one.label), *facts)
    if not one.source:
        return div("picture", div("absent", "no image"), words)
    kind = {"class": "pixels"} if one.pixels else {}
    image = "".join(
        f' {key}="{escape(value)}"'
        for key, value in {"src": one.source, "alt": one.label, "loading": "lazy", **kind}.items()
    )
    return div("picture", Html(f"<img{image}>"), words)
