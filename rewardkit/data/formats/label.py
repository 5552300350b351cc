"""What a label says: P(first is better), or which image is the better one, in words or numbers."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from rewardkit.errors import UserError

TIES = frozenset(
    (
        "tie",
        "ties",
        "tied",
        "tie_case",
        "draw",
        "equal",
        "same",
        "both",
        "both_bad",
        "bothbad",
        "both_good",
        "tie_bothbad",
        "tie_both_bad",
        "neither",
        "no_preference",
        "a=b",
    )
)
"""Words for a tie, as `word` spells them."""
FIRST, SECOND = frozenset(("a", "left", "first", "one")), frozenset(("b", "right", "second", "two"))
KIND = re.compile(r"^(model|image|img|side|response|candidate|option|output|system|picture|photo)_(?=.)")
OUTCOME = re.compile(r"(_is)?_(better|wins?|won|preferred|image|img|model)$")
COMPARED = {"a>b": 1.0, "b>a": 0.0, "a<b": 0.0, "b<a": 1.0}

Scale = Callable[[float], float]
"""A number of a label -> P(first is better)."""


@dataclass
class Labels:
    """The labels of one column of a file, whose numbers are understood once all have been seen."""

    column: str
    sides: tuple[str, str] = ("first", "second")
    names_winner: bool = False
    numbers: dict[float, str] = field(default_factory=dict)
    """Every number met -> where first."""
    words: str = ""
    """Where a word was met first."""

    def read(self, value: object, where: str, names: tuple[set[str], set[str]]) -> float | None:
        """Read one label: words as P(first is better), numbers as they are, None for no judgement.

        `names` are what else the row calls each image (its path, its model).
        """
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            return None
        text = str(value).strip()
        in_words = self.word(value, text, names)
        if in_words is not None:
            self.words = self.words or where
            return in_words
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise self.refusal(repr(value), where)
        self.numbers.setdefault(number, where)
        return number

    def word(self, value: object, text: str, names: tuple[set[str], set[str]]) -> float | None:
        if names[0] != names[1] and text in names[0] ^ names[1]:
            return float(text in names[0])
        plain = re.sub(r"[^\w<>=]+|_+", "_", text.casefold()).strip("_")
        if plain in ("true", "false") and not self.names_winner:
            return float(plain == "true")
        if re.sub("([<>])+", r"\1", plain) in COMPARED:
            return COMPARED[re.sub("([<>])+", r"\1", plain)]
        if plain in TIES:
            return 0.5
        side = KIND.sub("", OUTCOME.sub("", plain))
        if side.isdecimal() and side != plain and self.sides in (("0", "1"), ("1", "2")):
            return {self.sides[0]: 1.0, self.sides[1]: 0.0}.get(side)
        if side.isdecimal() and side != plain:
            return {"1": 1.0, "2": 0.0}.get(side)
        for names_of, worth in (({*FIRST, self.sides[0].casefold()}, 1.0), ({*SECOND, self.sides[1].casefold()}, 0.0)):
            if {plain, side} & names_of and not plain.isdecimal():
                return worth
        return None

    def scale(self) -> Scale | None:
        """Say how the numbers are meant, None for as they are; raise `UserError` if they may mean two things."""
        met = set(self.numbers)
        if not met:
            return None
        found = self.winner_scale(met) if self.names_winner else self.score_scale(met)
        if found is None:
            odd = next((number for number in self.numbers if not 0 <= number <= 1), next(iter(self.numbers)))
            beside = f" beside {said(met - {odd})}" if len(met) > 1 else ""
            raise self.refusal(f"{odd:g}{beside}", self.numbers[odd])
        if self.words and found is not as_it_is:
            raise UserError(
                f"{self.words}, label of {self.column} is a word, and others are {said(met)}; write one kind"
            )
        return None if found is as_it_is else found

    def score_scale(self, met: set[float]) -> Scale | None:
        if all(0 <= number <= 1 for number in met):
            return as_it_is
        return from_one if met <= {1, 2} else signed if met <= {-1, 0, 1} else None

    def winner_scale(self, met: set[float]) -> Scale | None:
        if self.sides == ("0", "1") or self.sides == ("1", "2"):
            start = int(self.sides[0])
            return (lambda number: 1 + start - number) if met <= {start, start + 1} else None
        return from_one if 2 in met and met <= {1, 2} else signed if -1 in met and met <= {-1, 0, 1} else None

    def refusal(self, found: str, where: str) -> UserError:
        if self.names_winner:
            first, second = self.sides
            return UserError(
                f"{where}, column {self.column!r} is {found}; it must name the better image: {first}, {second} or tie"
                " (numbers: 1 and 2, or 1 and -1, both of which must occur), or be called label: P(first is better)"
            )
        return UserError(
            f"{where}, label of {self.column} is {found}; it must be P(first is better), from 0 to 1, and 0.5 for a "
            "tie; or 1 and 2, 1 and -1, true and false, or first, second and tie"
        )


def as_it_is(number: float) -> float:
    """P(first is better) as it is."""
    return number


def from_one(number: float) -> float:
    """1 for the first, 2 for the second."""
    return 2 - number


def signed(number: float) -> float:
    """1 for the first, -1 for the second, 0 for a tie."""
    return (number + 1) / 2


def said(numbers: set[float]) -> str:
    few = [f"{number:g}" for number in sorted(numbers)[:5]]
    return few[0] if len(few) == 1 else f"{', '.join(few[:-1])} and {few[-1]}"
