"""Checks of a set of pairs: balance, position bias, repeats, leaks, long prompts, bad images."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rewardkit.data.config import Depth
from rewardkit.data.records.record import ImageRef, PreferenceRecord, axes_of
from rewardkit.errors import UserError
from rewardkit.images import load_image
from rewardkit.io.progress import Progress
from rewardkit.stats import proportion_interval


@dataclass
class Pictures:
    """The images of a set by content, and those that cannot be used."""

    digest: dict[ImageRef, str] = field(default_factory=dict)
    """Image -> hash of its encoded bytes."""
    missing: list[str] = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)


def look(records: Sequence[PreferenceRecord], depth: Depth) -> Pictures:
    """Read every image once."""
    found = Pictures()
    images = list(dict.fromkeys(image for record in records for image in (record.first, record.second)))
    if depth == "none":
        return found
    with Progress("reading images", len(images)) as bar:
        for image in images:
            look_at(image, depth, found)
            bar.update()
    return found


def look_at(image: ImageRef, depth: Depth, found: Pictures) -> None:
    try:
        found.digest[image] = hashlib.sha256(image.read_bytes()).hexdigest()
    except (UserError, OSError):
        found.missing.append(str(image))
        return
    if depth == "decode":
        try:
            load_image(image)
        except UserError as error:
            found.corrupt.append(str(error))


def balance(records: Sequence[PreferenceRecord]) -> dict[str, dict[str, Any]]:
    """By axis: the number of judged pairs, the fraction of ties, and how often the first image wins of the rest.

    If the first position wins clearly more or less often than half, the position leaks the label.
    """
    figures = {}
    for axis in axes_of(records):
        labels = [record.label[axis] for record in records if axis in record.label]
        first, second = sum(label > 0.5 for label in labels), sum(label < 0.5 for label in labels)
        figures[axis] = {
            "judged": len(labels),
            "first": first,
            "second": second,
            "ties": len(labels) - first - second,
            "tie_share": asdict(proportion_interval(len(labels) - first - second, len(labels))),
            "first_preferred": asdict(proportion_interval(first, first + second)),
            "soft": sum(label not in (0.0, 0.5, 1.0) for label in labels),
        }
    return figures


def repeats(records: Sequence[PreferenceRecord], pictures: Pictures) -> dict[str, int]:
    """Count repeated pairs, repeated pairs with the opposite label, and pairs of an image with itself."""
    seen: dict[tuple[str, frozenset[str]], list[PreferenceRecord]] = {}
    same = again = against = 0
    for record in records:
        keys = key(record, 0, pictures), key(record, 1, pictures)
        same += keys[0] == keys[1]
        earlier = seen.setdefault((plain(record.prompt), frozenset(keys)), [])
        again += bool(earlier)
        aligned = [one if key(one, 0, pictures) == keys[0] else one.swapped() for one in earlier]
        against += any(opposite(record.label, one.label) for one in aligned)
        earlier.append(record)
    copies = Counter(pictures.digest.values())
    return {
        "repeated_pairs": again,
        "contradicting_repeats": against,
        "pairs_of_one_image": same,
        "images_under_several_names": sum(count > 1 for count in copies.values()),
    }


def opposite(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return any((one[axis] - 0.5) * (other[axis] - 0.5) < 0 for axis in one.keys() & other.keys())


def leaks(
    records: Sequence[PreferenceRecord],
    others: Sequence[PreferenceRecord],
    pictures: Pictures,
    other_pictures: Pictures,
) -> dict[str, Any]:
    """Find what is on both sides: prompts, images by name (the set's id, else the path) and images by content."""
    prompts = {plain(r.prompt) for r in records} & {plain(r.prompt) for r in others}
    by_name = names(records) & names(others)
    by_content = set(pictures.digest.values()) & set(other_pictures.digest.values())
    content = sorted(str(image) for image, digest in pictures.digest.items() if digest in by_content)
    touched = sum(
        plain(r.prompt) in prompts
        or any(name(r, side) in by_name or pictures.digest.get(image_of(r, side)) in by_content for side in (0, 1))
        for r in records
    )
    return {
        "prompts": sorted(prompts),
        "images_by_name": sorted(by_name),
        "images_by_content": content,
        "pairs_touched": touched,
    }


def prompts_over(records: Iterable[PreferenceRecord], tokens: Callable[[str], int], limit: int) -> dict[str, Any]:
    """Count the prompts with more tokens than the text encoder reads, and those with none."""
    prompts = list(dict.fromkeys(record.prompt for record in records))
    lengths = {prompt: tokens(prompt) for prompt in prompts}
    over = [prompt for prompt in prompts if lengths[prompt] > limit]
    return {
        "prompts": len(prompts),
        "empty": sum(not prompt.strip() for prompt in prompts),
        "limit": limit,
        "longest": max(lengths.values(), default=0),
        "over": len(over),
        "over_share": asdict(proportion_interval(len(over), len(prompts))),
        "examples": over[:5],
    }


def plain(prompt: str) -> str:
    """Normalise the case and spacing of a prompt."""
    return " ".join(prompt.casefold().split())


def image_of(record: PreferenceRecord, side: int) -> ImageRef:
    return record.second if side else record.first


def name(record: PreferenceRecord, side: int) -> str:
    """A unique name of an image: the set's id, else its real path."""
    image = image_of(record, side)
    return record.ids[side] or (os.path.realpath(image) if isinstance(image, Path) else str(image))


def names(records: Iterable[PreferenceRecord]) -> set[str]:
    return {name(record, side) for record in records for side in (0, 1)}


def key(record: PreferenceRecord, side: int, pictures: Pictures) -> str:
    return pictures.digest.get(image_of(record, side)) or name(record, side)
