"""Pairs of users under the usual names of columns: image_a and image_b, left and right, winner, model_a, ..."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import Any

from rewardkit.data.records.cells import CellImage
from rewardkit.data.records.rows import Row
from rewardkit.errors import UserError

PROMPTS = ("prompt", "caption", "text")
SIDES = (("first", "second"), ("a", "b"), ("left", "right"), ("1", "2"), ("0", "1"), ("one", "two"))
"""What tells the two images of a pair apart in the names of columns."""
THIRD = {"a": "c", "1": "3", "0": "2", "first": "third", "one": "three"}
DECIDED = (
    ("chosen", "rejected"),
    ("preferred", "rejected"),
    ("preferred", "dispreferred"),
    ("winner", "loser"),
    ("win", "lose"),
    ("better", "worse"),
)
"""Names of columns that give the verdict themselves: the first is the better."""
IMAGE = frozenset(
    (
        "image",
        "img",
        "path",
        "file",
        "filename",
        "picture",
        "pic",
        "photo",
        "jpg",
        "png",
        "output",
        "candidate",
        "response",
        "sample",
    )
)
MODEL = frozenset(("model", "system", "method", "generator"))
VERDICTS = frozenset(
    (
        "winner",
        "preferred",
        "preferred_image",
        "chosen",
        "choice",
        "best",
        "better",
        "vote",
        "verdict",
        "selected",
        "selection",
        "winning_image",
        "human_choice",
        "human_vote",
        "winner_model",
    )
)
"""Columns that name the better one; in a column `label` or `preference` a number is P(first is better)."""
SCORES = ("label", "preference", "human_preference", "human_label")
SOURCES = frozenset(
    (
        "src",
        "source",
        "input",
        "original",
        "reference",
        "ref",
        "cond",
        "conditioning",
        "condition",
        "init",
        "before",
    )
)
"""What the image that was edited is called."""


@dataclass(frozen=True)
class Columns:
    """Which column of a file is which of ours."""

    names: Mapping[str, str] = field(default_factory=dict)
    """Name in the file -> our name."""
    sides: tuple[str, str] = ("first", "second")
    """What the file calls the two images."""
    names_winner: bool = False
    """Whether the label names the better image, rather than being P(first is better)."""
    decided: bool = False
    """Whether the first image is the better one in every row."""

    @property
    def foreign(self) -> bool:
        """Whether any column is not under our name for it."""
        return any(name != our for name, our in self.names.items()) or self.decided

    def rename(self, row: Row) -> Row:
        return replace(row, values={self.names.get(name, name): value for name, value in row.values.items()})


OURS = Columns()


def words(name: str) -> list[str]:
    """Split a column's name: imageA, image_a, img1 -> [image, a], [image, a], [img, 1]."""
    return re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())


def find_columns(row: Row) -> Columns | None:
    """Find prompt, images and label of a pair by the usual names; None if prompt or images are not found."""
    names = [str(name) for name in row.values]
    prompt = next((name for wanted in PROMPTS for name in names if name.lower() == wanted), None)
    found = find_sides(row, names)
    if prompt is None or found is None:
        return None
    sides, mapping, decided = found
    mapping = {**mapping, prompt: "prompt"}
    if decided:
        return Columns(mapping, sides, decided=True)
    if any(name == "label" or name.startswith("label_") for name in names):
        return Columns(mapping, sides)
    plain = {"_".join(words(name)): name for name in names if name not in mapping}
    verdict = next((plain[name] for name in plain if name in VERDICTS), None)
    score = next((plain[name] for name in SCORES if name in plain), None)
    if verdict or score:
        mapping |= {str(verdict or score): "label"}
    return Columns(mapping, sides, names_winner=verdict is not None)


def find_sides(row: Row, names: Sequence[str]) -> tuple[tuple[str, str], dict[str, str], bool] | None:
    """Find the two images, what the file calls them, and their models, ids and votes."""
    for pairs, decided in ((SIDES, False), (DECIDED, True)):
        for sides in pairs:
            parts = [parts_of(names, side) for side in sides]
            images = shared(parts, lambda kind: kind <= IMAGE)
            models = shared(parts, lambda kind: bool(kind & MODEL) and "id" not in kind)
            if images is None and models is not None and all(looks_like_image(row.values[name]) for name in models):
                images, models = models, None
            if images is None or (sides == ("1", "2") and parts_of(names, "0")):
                continue
            if (
                not decided
                and THIRD.get(sides[0])
                and shared([parts[0], parts_of(names, THIRD[sides[0]])], IMAGE.issuperset)
            ):
                raise UserError(f"{row.file} has more than two images in a row ({', '.join(names)}); write pairs")
            found = dict(zip(images, ("first", "second"), strict=True))
            others = {
                "model": models,
                "id": shared(parts, lambda kind: bool(kind & {"id", "uid"})),
                "votes": shared(parts, lambda kind: bool(kind & {"vote", "votes"})),
            }
            for what, pair in others.items():
                found |= dict(zip(pair or (), (f"{what}_first", f"{what}_second"), strict=False))
            return sides, found, decided
    return None


def parts_of(names: Iterable[str], side: str) -> dict[frozenset[str], str]:
    """The columns of a side: what is left of the name without the side -> the name."""
    found: dict[frozenset[str], str] = {}
    for name in names:
        parts = words(name)
        if parts.count(side) == 1:
            found.setdefault(frozenset(parts) - {side}, name)
    return found


def shared(parts: Sequence[Mapping[frozenset[str], str]], fits: Any) -> tuple[str, str] | None:
    """The two columns that are called alike but for the side, of a kind that fits."""
    return next(((name, parts[1][kind]) for kind, name in parts[0].items() if fits(kind) and kind in parts[1]), None)


def looks_like_image(value: object) -> bool:
    from rewardkit.images.files import is_image_name  # torch, which --help does without

    return isinstance(value, CellImage | PurePath) or (isinstance(value, str) and is_image_name(PurePath(value).name))


def by_hand(given: Sequence[str], row: Row) -> Columns:
    """Read prompt=text first=left second=right label=vote; raise `UserError` for what is not there or not ours."""
    ours = ("prompt", "first", "second", "label", "axis", "group", "source")
    names: dict[str, str] = {}
    for part in given:
        our, equals, theirs = part.partition("=")
        if not equals or not (our in ours or our.startswith(("label_", "model_", "id_", "votes_"))):
            raise UserError(f"--columns takes NAME=COLUMN with a name of {', '.join(ours)}; got {part!r}")
        if theirs not in row.values:
            raise UserError(f"{row.file} has no column {theirs!r} (--columns {part}); it has {listed(row)}")
        names[theirs] = our
    sides = {our: theirs for theirs, our in names.items()}
    return Columns(names, (sides.get("first", "first"), sides.get("second", "second")))


def listed(row: Row) -> str:
    return ", ".join(map(str, row.values))


def check_not_editing(rows: Iterable[Row]) -> Iterator[Row]:
    """Pass rows on; raise `UserError` for one with a source image beside the two candidates."""
    suspects: list[str] | None = None
    for row in rows:
        if suspects is None:
            suspects = [
                str(name)
                for name in row.values
                if words(str(name)) and set(words(str(name))) & SOURCES and set(words(str(name))) <= SOURCES | IMAGE
            ]
        for name in suspects:
            value = row.values.get(name)
            if value and (looks_like_image(value) or (isinstance(value, Mapping) and "bytes" in value)):
                raise UserError(
                    f"{row.where}: column {name!r} holds a source image beside the two candidates: these are editing "
                    "pairs (like EditReward's), and only text-to-image pairs are read; leave them out"
                )
        yield row
