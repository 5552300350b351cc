import math
import re
from html.parser import HTMLParser

import pytest
import torch

from rewardkit.report.html import Html, element, escape
from rewardkit.report.numbers import interval, number, signed
from rewardkit.report.page import Card, Picture, Row, Section, cards, gallery, heading, page, share_matrix, table, text
from rewardkit.report.plots import Interval, Series, curves, forest
from rewardkit.report.thumbnails import tensor_picture
from rewardkit.stats import Estimate

ATTACK = "\"><script>alert('x')</script><img src=http://evil.example/p.png onerror=a>&amp;"
VOID = {"meta", "img", "br", "line", "circle", "polyline", "polygon"}


class Outline(HTMLParser):
    """Collects tags and attributes, and checks that every element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def outline(markup: str) -> Outline:
    parser = Outline()
    parser.feed(markup)
    parser.close()
    assert parser.open == []
    return parser


def everything(word: str) -> str:
    """A page on which every function is given the same words."""
    estimate = Estimate(0.1, -0.1, 0.3, 9)
    picture = tensor_picture(torch.rand(3, 8, 8), word, {word: word})
    blocks = [
        cards([Card(word, word, word, True)]),
        table([word, word], [[word, word]], caption=word),
        gallery([Row(word, [picture, Picture("", word)])]),
        forest([Interval(word, estimate)], better=word),
        curves(word, [Series(word, [0, 1], [0, 1]), Series(word, [0, 1], [1, 0])], x_label=word),
        share_matrix([word, word], [[None, 0.2], [0.8, None]], caption=word),
        heading(word, word, aside=word),
        text(word),
    ]
    return page(word, [Section(word, blocks, word)] * 3, subtitle=word, footer=word, language=word)


def test_what_the_user_typed_never_becomes_markup() -> None:
    attacked, harmless = outline(everything(ATTACK)), outline(everything("word"))
    assert attacked.tags == harmless.tags
    assert [name for name, _ in attacked.attributes] == [name for name, _ in harmless.attributes]
    assert "script" not in attacked.tags
    assert ATTACK in "".join(attacked.words)


def test_the_page_asks_for_nothing_from_outside() -> None:
    markup = everything("word")
    found = outline(markup)
    addresses = [value for name, value in found.attributes if name in ("src", "href", "srcset", "action", "data")]
    assert addresses
    assert all(value.startswith(("data:image/", "#")) for value in addresses)
    without_pictures = re.sub(r'src="data:image/[^"]*"', "", markup)  # base64 may spell two slashes
    assert not re.search(r"url\(|@import|//[a-z]", without_pictures)
    assert {"script", "link", "iframe", "object"}.isdisjoint(found.tags)
    policy = next(value for name, value in found.attributes if value.startswith("default-src"))
    assert policy.startswith("default-src 'none'")


def test_the_page_fits_a_phone_and_the_dark() -> None:
    markup = everything("word")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in markup
    assert "prefers-color-scheme: dark" in markup
    assert "@media (max-width:" in markup


def test_a_name_that_is_no_unicode_still_makes_a_page() -> None:
    everything("caf\udce9").encode("utf-8")


def test_markup_passes_and_strings_are_escaped() -> None:
    assert element("b", "<i>", Html("<i></i>")) == "<b>&lt;i&gt;<i></i></b>"
    assert escape("a\"b'c") == "a&#34;b&#39;c"


def test_an_interval_is_drawn_where_its_numbers_are() -> None:
    drawn = forest([Interval("x", Estimate(1.0, 0.0, 2.0, 5))])
    # from 0 to 2 with 6 % of room at both ends
    left, span = -0.12, 2.24
    for attribute, value in (("cx", 1.0), ("x1", 0.0), ("x2", 2.0)):
        assert f'{attribute}="{100 * (value - left) / span:.2f}%"' in drawn


@pytest.mark.parametrize(
    ("estimate", "kind"),
    [
        (Estimate(1.0, 0.5, 1.5, 9), "up"),
        (Estimate(-1.0, -1.5, -0.5, 9), "down"),
        (Estimate(0.0, -1.0, 1.0, 9), "level"),
    ],
)
def test_an_interval_is_coloured_by_where_it_lies(estimate: Estimate, kind: str) -> None:
    assert f'<svg class="{kind}"' in forest([Interval("x", estimate)])


def test_plots_bear_missing_numbers() -> None:
    forest([Interval("x", Estimate(math.nan, -math.inf, math.inf, 0))])
    drawn = curves("t", [Series("s", [0, 1, 2], [0.0, math.nan, 1.0])])
    assert "nan" not in drawn
    assert outline(curves("t", [])).open == []


def test_a_curve_runs_from_corner_to_corner() -> None:
    drawn = curves("t", [Series("s", [0, 10], [0.0, 1.0])])
    low, high = 100 * 0.06 / 1.12, 100 * 1.06 / 1.12
    assert f'points="0.00,{high:.2f} 100.00,{low:.2f}"' in drawn


def test_numbers_are_written_one_way() -> None:
    assert (number(-0.12345), number(math.nan), number(-0.0001)) == ("−0.123", "–", "0.000")
    assert (signed(0.5), signed(-0.5), signed(0.0)) == ("+0.500", "−0.500", "0.000")
    assert interval(Estimate(0.0, -1.0, 2.0, 5)) == "[−1.000, 2.000]"
    assert interval(Estimate(0.0, -math.inf, math.inf, 1)) == "–"


def test_a_picture_is_small_enough_for_a_page() -> None:
    large = tensor_picture(torch.rand(3, 600, 900), "x", side=64)
    assert large.source.startswith("data:image/webp;base64,")
    assert len(large.source) < 10_000
    assert not large.pixels
    assert tensor_picture(torch.rand(3, 64, 64), "x").pixels
