"""A poster as a specification, from which captions and images are made."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Generator

T = TypeVar("T")

SHAPES = ("circle", "square", "triangle", "star")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple")
POSITIONS = ("left", "centre", "right")
SIZES = ("small", "large")
BACKGROUNDS = ("white", "grey", "navy", "mint")
FINISHES = ("vivid", "muted")
WORDS = (
    *("SALE", "OPEN", "JAZZ", "CAFE", "MOON", "STAR", "LOVE", "BOOK", "TEA", "ART", "SUN"),
    *("FISH", "RAIN", "GOLD", "PARK", "MILK", "KING", "SNOW", "BIKE", "FILM", "DANCE", "PIZZA", "TRAIN"),
)
WORDS_ZH = ("春", "福", "喜", "茶", "开业", "新年", "音乐", "电影", "咖啡", "特惠")

CHOICES: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": COLOURS,
    "position": POSITIONS,
    "size": SIZES,
    "background": BACKGROUNDS,
    "finish": FINISHES,
}


@dataclass(frozen=True)
class Scene:
    """One poster; `None` means not stated (in a whole scene only `text` may be `None`)."""

    shape: str | None = None
    colour: str | None = None
    position: str | None = None
    size: str | None = None
    background: str | None = None
    finish: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")

    def stated(self) -> dict[str, str]:
        """The stated attributes by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def filled(self, generator: Generator) -> "Scene":
        """Choose attributes that are not stated at random, except the text."""
        missing = {name: pick(choices, generator) for name, choices in CHOICES.items() if getattr(self, name) is None}
        return replace(self, **missing)

    def without(self, *names: str) -> "Scene":
        """Remove some attributes."""
        return replace(self, **dict.fromkeys(names))


def pick(choices: Sequence[T], generator: Generator) -> T:
    """Choose one uniformly at random."""
    return choices[int(torch.randint(len(choices), (), generator=generator))]


def chance(probability: float, generator: Generator) -> bool:
    """Return True with this probability."""
    return bool(torch.rand((), generator=generator) < probability)


def random_text(generator: Generator, words: tuple[str, ...] = WORDS) -> str:
    """Choose the text of a poster: a word in three of four cases, else a number of two digits."""
    if chance(0.75, generator):
        return pick(words, generator)
    return str(int(torch.randint(10, 100, (), generator=generator)))


def random_scene(generator: Generator, *, text_share: float = 0.75, words: tuple[str, ...] = WORDS) -> Scene:
    """Sample a whole scene; a fraction `text_share` of them has text."""
    text = random_text(generator, words) if chance(text_share, generator) else None
    return replace(Scene().filled(generator), text=text)
