"""Pairs of a photo and a degraded copy, as training data for a texture reward (arXiv:2503.07703, 4.5).

Crops are taken at the photo's native resolution, to keep its texture, and the copy is blurred, compressed, noised, or
shrunk and enlarged, at a strength sampled from a given range. A copy that looks the same as its photo (a blurred clear
sky) is sampled again, and a photo without visible changes is counted. The group of a pair is its photo, so the photos
of the training and held-out splits are disjoint.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional as F

from rewardkit.data import PreferenceRecord, Skipped, write_pairs
from rewardkit.data.config import DegradeConfig, Range
from rewardkit.errors import UserError
from rewardkit.images import OneImage, list_images, load_image, to_pil, to_tensor
from rewardkit.io.progress import Progress

AXIS = "texture"
ATTEMPTS = 20
"""Attempts at a crop and a degradation before a pair is skipped."""


Crop = Float[Tensor, "3 size size"]
"""A square of a photo; RGB in [0, 1]."""


def degrade(config: DegradeConfig) -> None:
    """Cut crops from photos and pair each with a degraded copy."""
    check(config)
    photos = [path for folder in config.photos for path in list_images(folder)]
    generator = torch.Generator().manual_seed(config.seed)
    skipped = Skipped(seen=len(photos))
    (config.out / "images").mkdir(parents=True, exist_ok=True)
    records: list[PreferenceRecord] = []
    small = 0
    with Progress("degrade", len(photos)) as bar:
        for index, path in enumerate(photos):
            photo = read(path, skipped)
            if photo is not None and min(photo.shape[1:]) >= config.size:
                records += photo_pairs(photo, path, index, config, generator)
            elif photo is not None:
                small += 1
            bar.update(pairs=float(len(records)))
    skipped.enforce(config.max_bad, config.out / "skipped.json")
    if not records:
        raise UserError(f"no pairs: none of {len(photos)} photos has {config.size} x {config.size} pixels with detail")
    write_pairs(config.out / "pairs.jsonl", records)
    missing = config.crops * (len(photos) - small - skipped.count) - len(records)
    print(f"{len(records)} pairs from {len({r.group for r in records})} photos -> {config.out / 'pairs.jsonl'}")
    print(f"left out: {skipped.count} unreadable photos, {small} too small, {missing} crops without visible change")


def check(config: DegradeConfig) -> None:
    """Raise `UserError` for a kind that does not exist or a strength out of range."""
    for kind in config.kinds:
        if kind not in DEGRADATIONS:
            raise UserError(f"no degradation {kind!r}; choose from {', '.join(DEGRADATIONS)}")
    limits: dict[str, Range] = {"blur": (0.05, 50), "jpeg": (1, 95), "noise": (0.1, 255), "low_resolution": (1.01, 64)}
    for kind, (least, most) in limits.items():
        low, high = getattr(config, kind)
        if not least <= low <= high <= most:
            raise UserError(f"{kind} must be two rising numbers between {least} and {most}; got {low} {high}")
    if config.size < 16 or config.crops < 1:
        raise UserError(f"size must be 16 or more and crops 1 or more; got {config.size} and {config.crops}")


def read(path: Path, skipped: Skipped) -> OneImage | None:
    """Load a photo, or count it as unreadable."""
    try:
        return load_image(path)
    except UserError as error:
        skipped.add("unreadable photo", str(error))
        return None


def photo_pairs(
    photo: OneImage, path: Path, index: int, config: DegradeConfig, generator: Generator
) -> Iterator[PreferenceRecord]:
    """Cut, degrade and save the pairs of one photo."""
    for number in range(config.crops):
        drawn = draw_pair(photo, config, generator)
        if drawn is None:
            continue
        crop, copy, what = drawn
        swap = bool(torch.rand((), generator=generator) < 0.5)
        stem = config.out / "images" / f"{index:04d}_{number:03d}"
        paths = stem.with_name(f"{stem.name}_a.png"), stem.with_name(f"{stem.name}_b.png")
        for image, target in zip((copy, crop) if swap else (crop, copy), paths, strict=True):
            to_pil(image).save(target)  # not flushed one by one: pairs.jsonl is written last and marks completion
        # The group includes the folder: two folders may have photos of the same name.
        group = f"{path.parent.name}/{path.name}"
        yield PreferenceRecord("", *paths, {AXIS: 0.0 if swap else 1.0}, group, source=what)


def draw_pair(photo: OneImage, config: DegradeConfig, generator: Generator) -> tuple[Crop, Crop, str] | None:
    """Sample a crop and a visibly degraded copy, and name the degradation; `None` if no attempt was visible."""
    for _ in range(ATTEMPTS):
        crop = random_crop(photo, config.size, generator)
        kind = config.kinds[int(torch.randint(len(config.kinds), (), generator=generator))]
        strength = uniform(getattr(config, kind), generator)
        copy = DEGRADATIONS[kind](crop, strength, generator).clamp(0, 1).mul(255).round().div(255)
        if (crop - copy).square().mean().sqrt() * 255 >= config.min_change:
            return crop, copy, f"{kind} {strength:.3g}"
    return None


def random_crop(photo: OneImage, size: int, generator: Generator) -> Crop:
    """Crop a square at a random position."""
    top, left = (int(torch.randint(side - size + 1, (), generator=generator)) for side in photo.shape[1:])
    return photo[:, top : top + size, left : left + size]


def uniform(limits: Range, generator: Generator) -> float:
    return float(limits[0] + (limits[1] - limits[0]) * torch.rand((), generator=generator))


def blur(image: OneImage, sigma: float, generator: Generator | None = None) -> OneImage:
    """Blur with a Gaussian of `sigma` pixels, with mirrored edges."""
    radius = min(max(1, round(3 * sigma)), min(image.shape[1:]) - 1)
    x = torch.arange(-radius, radius + 1, dtype=image.dtype)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(image[:, None], (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))[:, 0]


def jpeg(image: OneImage, quality: float, generator: Generator | None = None) -> OneImage:
    """Compress as JPEG and decode."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, format="JPEG", quality=round(quality))
    return to_tensor(Image.open(buffer))


def noise(image: OneImage, sigma: float, generator: Generator) -> OneImage:
    """Add Gaussian noise of `sigma` levels of 255."""
    return image + torch.randn(image.shape, generator=generator) * sigma / 255


def low_resolution(image: OneImage, factor: float, generator: Generator | None = None) -> OneImage:
    """Shrink by a factor and enlarge again."""
    small = [max(2, round(side / factor)) for side in image.shape[1:]]
    shrunk = F.interpolate(image[None], size=small, mode="bicubic", antialias=True)
    return F.interpolate(shrunk, size=image.shape[1:], mode="bicubic", antialias=True)[0]


Degradation = Callable[[OneImage, float, Generator], OneImage]
DEGRADATIONS: dict[str, Degradation] = {"blur": blur, "jpeg": jpeg, "noise": noise, "low_resolution": low_resolution}
