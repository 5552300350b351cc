"""The text that a prompt quotes: what must be written in the image.

Quotes enable the text reward, are the input of the glyph encoder and must not be changed by a rewriter, so one parser
serves the whole project. It knows '…' "…" “…” ‘…’ „…“ ”…” «…» ＂…＂ 「…」 『…』 ｢…｣, mixed pairs such as “…", and
escaped marks (\\"…\\"). A text in double marks may span several lines, but not an empty line.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

_OPENING = re.compile(r"""\\?["'“„”‘«＂「『｢]""")
_SIMPLE = {"«": "»", "＂": "＂", "「": "」", "『": "』", "｢": "｣"}
_INCHES = re.compile(r"\s|[x×*,.;:)-]|$")
"""What may follow the inch mark of 7", but not an opening quote."""


@dataclass(frozen=True)
class Quote:
    """A quoted text and its position, including its marks."""

    text: str
    start: int
    end: int


def quotes(prompt: str) -> list[Quote]:
    """Find the quoted texts of a prompt in order; apostrophes and inch marks are not quotes.

    A prompt that is quoted as a whole, as spreadsheets export it, asks for no text. Linear time in the length.
    """
    found = [quote for quote in _Scan(prompt) if quote.text]
    if len(found) == 1 and prompt.strip() == prompt[found[0].start : found[0].end]:
        return []
    return found


def quoted(prompt: str) -> list[str]:
    """Return the quoted texts of a prompt in order, without their marks."""
    return [quote.text for quote in quotes(prompt)]


def without_quotes(prompt: str) -> str:
    """Remove the quoted texts of a prompt with their marks: the description without the text to write."""
    pieces, end = [], 0
    for quote in quotes(prompt):
        pieces.append(prompt[end : quote.start])
        end = quote.end
    return " ".join([*pieces, prompt[end:]])


def has_text(prompt: str) -> bool:
    """Return whether a prompt asks for text in the image, that is, quotes some."""
    return bool(quoted(prompt))


def wanted_text(prompt: str) -> str:
    """Join the quoted texts of a prompt with spaces; empty when there are none."""
    return " ".join(quoted(prompt))


class _Scan:
    """One pass over a prompt; positions of closing marks are indexed, so that no mark is searched for twice."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt

    def __iter__(self) -> Iterator[Quote]:
        place = 0
        while mark := _OPENING.search(self.prompt, place):
            start, place = mark.start(), mark.end()
            end, width = self.close(mark[0], start, place)
            if end is not None:
                text = self.prompt[place:end].replace('\\"', '"').strip()
                place = end + width
                yield Quote(text, start, place)

    def close(self, mark: str, start: int, inside: int) -> tuple[int | None, int]:
        """Return the position of the closing mark, if this mark opens a quote, and its width."""
        if mark.startswith("\\"):
            return self.before_empty_line(self.next(mark, inside), inside), 2
        if mark in "'‘":
            return self.close_single(mark, start, inside), 1
        if mark == '"':
            return self.close_straight(start, inside), 1
        if mark == "“":
            return self.before_empty_line(self.close_curly(inside), inside), 1
        if mark == "„":
            ends = [end for one in '“”"' if (end := self.next(one, inside)) is not None]
            return self.before_empty_line(min(ends, default=None), inside), 1
        if mark == "”":  # Swedish and Finnish open with the closing mark
            end = self.next("”", inside) if self.borders(start) else None
            return self.before_empty_line(end, inside), 1
        return self.before_empty_line(self.next(_SIMPLE[mark], inside), inside), 1

    def close_straight(self, start: int, inside: int) -> int | None:
        """Close at the next straight mark, or at a curly one that nothing opened."""
        straight, curly, opened = (self.next(mark, inside) for mark in '"”“')
        if curly is not None and (straight is None or curly < straight) and (opened is None or opened > curly):
            straight = curly
        end = self.before_empty_line(straight, inside)
        if end is None or not (start and self.prompt[start - 1].isdigit()):
            return end
        inches = _INCHES.match(self.prompt, inside) or (end > inside and self.prompt[end - 1].isdigit())
        return None if inches else end

    def close_curly(self, inside: int) -> int | None:
        """Close at the next closing mark, or at a straight one if another opening mark comes first."""
        curly, straight, opened = (self.next(mark, inside) for mark in '”"“')
        if curly is None or (straight is not None and opened is not None and opened < curly):
            return straight
        return curly

    def close_single(self, mark: str, start: int, inside: int) -> int | None:
        """Close single quotes within their line; a mark right after or before a letter may be an apostrophe."""
        empty = mark == "'" and self.prompt[inside : inside + 1].isspace()
        if empty or not self.borders(start) or inside >= len(self.prompt):
            return None
        places = self.singles[mark]
        at = bisect_left(places, inside + 1)
        end = places[at] if at < len(places) else None
        line = self.next("\n", inside)
        if end is None or (line is not None and line < end):
            return None
        if self.prompt[inside:end].casefold() == "n" and start and self.prompt[start - 1].isspace():
            return None  # rock 'n' roll
        return end

    def borders(self, place: int) -> bool:
        """Whether the character before a place is not a letter of a script with apostrophes."""
        return place == 0 or not _is_letter(self.prompt[place - 1])

    def next(self, mark: str, place: int) -> int | None:
        """Find a mark at or after a place; an escaped straight mark closes only an escaped one."""
        places = self.places.get(mark, [])
        at = bisect_left(places, place)
        return places[at] if at < len(places) else None

    def before_empty_line(self, end: int | None, inside: int) -> int | None:
        empty = self.next("\n\n", inside)
        return None if end is None or (empty is not None and empty < end) else end

    @cached_property
    def places(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for mark in re.finditer(r"""\\"|[\n"“”»＂」』｣]""", self.prompt):
            found.setdefault(mark[0], []).append(mark.start())
            if self.prompt.startswith("\n\n", mark.start()):
                found.setdefault("\n\n", []).append(mark.start())
        return found

    @cached_property
    def singles(self) -> dict[str, list[int]]:
        """Positions where single quotes can close: not before a letter, and straight ones not after a space."""
        found: dict[str, list[int]] = {"'": [], "‘": []}
        for mark in re.finditer("['’]", self.prompt):
            place = mark.start()
            after = self.prompt[place + 1 : place + 2]
            if (after and _is_letter(after)) or (mark[0] == "'" and place and self.prompt[place - 1].isspace()):
                continue
            found["'" if mark[0] == "'" else "‘"].append(place)
        return found


def _is_letter(character: str) -> bool:
    """Whether this is a letter or digit of a script with apostrophes inside words.

    Chinese, Japanese and Korean have none, and put quotes directly next to their characters, so everything from U+2E80
    on counts as a border.
    """
    return character.isalnum() and not "\u2e80" <= character <= "\uffff"
