"""Preference records: two images of one prompt and how likely the first is better; and lists of more than two."""

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rewardkit.data.records.cells import CellImage
from rewardkit.errors import UserError

ImageRef = Path | CellImage
"""The location of an image: a file, or a cell of a table that is read when needed."""

OVERALL = "preference"
"""The default axis of sets that asked only which image people like better."""


@dataclass(frozen=True)
class PreferenceRecord:
    """Two images of one prompt, and how likely the first is the better one on each judged axis."""

    prompt: str
    first: ImageRef
    second: ImageRef
    label: Mapping[str, float]
    """Axis -> P(first is better) in [0, 1]; 0.5 is a tie; an absent axis was not judged."""
    group: str = ""
    """Pairs of one group stay together in a split."""
    source: str = ""
    """The set, the model or the annotator the pair came from."""
    votes: tuple[float, float] | None = None
    """Number of people who preferred each image, if the set has it."""
    confidence: float | None = None
    """The set's confidence in the label, in [0, 1]."""
    models: tuple[str, str] = ("", "")
    """The model that generated each image."""
    ids: tuple[str, str] = ("", "")
    """The set's ids of the images: an image has one id under any path."""
    version: str = ""
    """The part or release of the set: its split, config or file."""

    def tie(self, axis: str) -> bool:
        """Whether the pair was judged on `axis` and neither image is better."""
        return self.label.get(axis) == 0.5

    def swapped(self) -> "PreferenceRecord":
        """Return the same judgement with the images swapped."""
        return replace(
            self,
            first=self.second,
            second=self.first,
            label={axis: 1 - value for axis, value in self.label.items()},
            votes=None if self.votes is None else self.votes[::-1],
            models=self.models[::-1],
            ids=self.ids[::-1],
        )

    def listed(self) -> "RankedRecord":
        """Return the same judgement as a list of two; a soft label is rounded to the majority."""
        scores = {axis: (value, 1 - value) for axis, value in self.label.items()}
        images = (self.first, self.second)
        return RankedRecord(self.prompt, images, scores, self.group, self.source, self.models, self.ids, self.version)


@dataclass(frozen=True)
class RankedRecord:
    """Several images of one prompt, scored on each judged axis; a list for listwise losses, or pairs."""

    prompt: str
    images: tuple[ImageRef, ...]
    scores: Mapping[str, tuple[float, ...]]
    """Axis -> one number per image, higher is better; NaN if an image was not judged. Only the order matters."""
    group: str = ""
    source: str = ""
    models: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    version: str = ""
    ratings: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Axis -> the set's ratings on its own scale, for calibration."""
    annotations: Sequence[Sequence[float]] = ()
    """The ranks of each annotator, smaller is better: a pair's votes are counted from them."""

    def ranks(self, axis: str) -> tuple[int, ...]:
        """Rank every image on `axis`: 1 is best, equal scores share a rank; 0 for an image that was not judged."""
        scores = self.scores[axis]
        return tuple(0 if math.isnan(one) else 1 + sum(other > one for other in scores) for one in scores)

    def only(self, places: Sequence[int]) -> "RankedRecord":
        """Keep the images at some indices."""
        return replace(
            self,
            images=tuple(self.images[place] for place in places),
            scores={axis: tuple(scores[place] for place in places) for axis, scores in self.scores.items()},
            ratings={axis: tuple(scores[place] for place in places) for axis, scores in self.ratings.items()},
            models=tuple(self.models[place] for place in places) if self.models else (),
            ids=tuple(self.ids[place] for place in places) if self.ids else (),
            annotations=[[ranks[place] for place in places] for ranks in self.annotations],
        )

    def pairs(self) -> Iterator[PreferenceRecord]:
        """Yield all pairs of images, equal scores as 0.5, with the order within a pair chosen by `turn`."""
        for i, j in itertools.combinations(range(len(self.images)), 2):
            record = self.pair(i, j)
            if record.label:
                yield record.swapped() if turn(self.group, self.prompt, i, j) else record

    def pair(self, i: int, j: int) -> PreferenceRecord:
        """Compare two images of the list; without a label if no axis judged both."""
        label = {axis: better(scores[i], scores[j]) for axis, scores in self.scores.items()}
        ahead = float(sum(ranks[i] < ranks[j] for ranks in self.annotations))
        behind = float(sum(ranks[i] > ranks[j] for ranks in self.annotations))
        models = self.models or ("",) * len(self.images)
        ids = self.ids or ("",) * len(self.images)
        return PreferenceRecord(
            self.prompt,
            self.images[i],
            self.images[j],
            {axis: value for axis, value in label.items() if not math.isnan(value)},
            self.group,
            self.source,
            votes=(ahead, behind) if self.annotations else None,
            models=(models[i], models[j]),
            ids=(ids[i], ids[j]),
            version=self.version,
        )


def better(one: float, other: float) -> float:
    """P(one is better) from two scores: 1, 0.5 or 0; NaN where either is NaN."""
    return math.nan if math.isnan(one + other) else 0.5 * (1 + (one > other) - (one < other))


def turn(*what: object) -> bool:
    """Decide by a hash whether to swap a pair: half of all pairs, deterministically.

    Otherwise files that put the better image first would teach a model the position instead of the image.
    """
    return bool(hashlib.sha256("\0".join(map(str, what)).encode()).digest()[0] & 1)


def axes_of(records: Sequence[PreferenceRecord]) -> tuple[str, ...]:
    """List the axes that any record judges, in order of appearance."""
    return tuple(dict.fromkeys(axis for record in records for axis in record.label))


def split(
    records: Sequence[PreferenceRecord], share: float, seed: int
) -> tuple[list[PreferenceRecord], list[PreferenceRecord]]:
    """Split into (training, held-out) by group: whole groups, ordered by hash, until `share` of the pairs is held out.

    The hash makes the split stable: additional data moves few groups. Raises `UserError` if one side stays empty.
    """
    sizes: dict[str, int] = {}
    for record in records:
        sizes[record.group] = sizes.get(record.group, 0) + 1
    validation: set[str] = set()
    taken = 0
    for group in sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()):
        if taken >= share * len(records):
            break
        validation.add(group)
        taken += sizes[group]
    sides = [r for r in records if r.group not in validation], [r for r in records if r.group in validation]
    if share > 0 and not all(sides):
        raise UserError(f"cannot hold out {share:.0%} of {len(records)} pairs in {len(sizes)} group(s); add groups")
    return sides


def shared_images(train: Iterable[PreferenceRecord], validation: Iterable[PreferenceRecord]) -> int:
    """Count the images that are on both sides of a split: each is a leak."""
    sides = [{image for record in side for image in (record.first, record.second)} for side in (train, validation)]
    return len(sides[0] & sides[1])
