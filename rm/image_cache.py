"""All images of a set of pairs, read once, framed for the encoder and cached as bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from rewardkit.data import ImageRef, PreferenceRecord, Skipped
from rewardkit.errors import UserError
from rewardkit.images import image_size, load_bytes
from rewardkit.images.ahead import ahead
from rewardkit.images.preprocess import FramedPixels, Pixels, Preprocess, centre
from rewardkit.io.progress import Progress
from rewardkit.training.processes import ALONE, Processes
from rewardkit.types import Images

MEMORY_LIMIT = 4 * 2**30
"""Bytes above which a tensor is stored in a file instead of in memory."""

Rows = Int[Tensor, " rows"]


@dataclass
class ImageStore:
    """Images of one size as bytes, and the row of each image."""

    pixels: UInt8[Tensor, "images 3 height width"]
    row: dict[ImageRef, int] = field(default_factory=dict)

    def images(self, rows: Rows) -> Images:
        """Return rows as float RGB in [0, 1]."""
        return self.pixels[rows].float().div(255)

    def __len__(self) -> int:
        return len(self.row)


def read_images(
    records: Sequence[PreferenceRecord],
    preprocess: Preprocess,
    folder: Path,
    *,
    max_bad: float,
    stride: int = 8,
    world: Processes = ALONE,
) -> tuple[list[PreferenceRecord], ImageStore]:
    """Read and frame the images of all records; return the records whose images could be read, and the images.

    Unreadable images are listed in `folder`/skipped.json, and raise a `UserError` above the fraction `max_bad`.
    The processes of a machine read one shard each, into one file.
    """
    images = list(dict.fromkeys(image for record in records for image in (record.first, record.second)))
    preprocess = fixed_size(preprocess, images, stride)
    pixels = shared_tensor((len(images), 3, *preprocess.size), torch.uint8, folder / "cache" / "pixels", world)
    errors: dict[int, str] = {}
    own = world.local_shard(range(len(images)))
    with Progress("reading images", len(own)) as bar:
        for row, framed in ahead(lambda row: framed_bytes(images[row], preprocess), own):
            if isinstance(framed, UserError):
                errors[row] = str(framed)
            else:
                pixels[row] = framed
            bar.update()
    broken = {images[row]: error for found in world.gather(errors) for row, error in sorted(found.items())}
    kept = readable(records, broken, folder / "skipped.json" if world.is_main else None, max_bad)
    return kept, ImageStore(pixels, {image: row for row, image in enumerate(images) if image not in broken})


def framed_bytes(image: ImageRef, preprocess: Preprocess) -> UInt8[Tensor, "3 height width"]:
    """Read and frame an image for the encoder, as bytes; resized in 8 bits, as in PIL and the published recipes."""
    return frame(load_bytes(image)[None], preprocess)[0]


def frame(images: Pixels, preprocess: Preprocess) -> FramedPixels:
    return centre(images, preprocess.size) if preprocess.fit == "native" else preprocess.frame(images)


def fixed_size(preprocess: Preprocess, images: Sequence[ImageRef], stride: int) -> Preprocess:
    """Choose the training size of an encoder that reads native resolution: the largest that all images can fill."""
    if preprocess.fit != "native":
        return preprocess
    sides = []
    for image in images:
        try:
            sides.append(min(image_size(image)))
        except UserError:
            continue  # `read_images` reports it
    side = max(stride, min(sides, default=64) // stride * stride)
    return replace(preprocess, size=(side, side))


def readable(
    records: Sequence[PreferenceRecord], broken: dict[ImageRef, str], report: Path | None, max_bad: float
) -> list[PreferenceRecord]:
    """Drop and count the records with a broken image."""
    skipped = Skipped(seen=len(records))
    kept = []
    for record in records:
        error = broken.get(record.first) or broken.get(record.second)
        if error is None:
            kept.append(record)
        else:
            skipped.add("bad image in a pair", error)
    skipped.enforce(max_bad, report)
    if skipped.count:
        print(f"{skipped.summary()}; listed in {report}")
    if not kept:
        raise UserError(f"no pairs are left: {skipped.summary()}")
    return kept


def big_tensor(shape: tuple[int, ...], dtype: torch.dtype, file: Path) -> Tensor:
    """Make an empty tensor in memory, or in a memory-mapped file if it is large."""
    if torch.Size(shape).numel() * dtype.itemsize <= MEMORY_LIMIT:
        return torch.empty(shape, dtype=dtype)
    return file_tensor(shape, dtype, file)


def file_tensor(shape: tuple[int, ...], dtype: torch.dtype, file: Path) -> Tensor:
    file.parent.mkdir(parents=True, exist_ok=True)
    return torch.from_file(str(file), shared=True, size=torch.Size(shape).numel(), dtype=dtype).view(shape)


def shared_tensor(shape: tuple[int, ...], dtype: torch.dtype, file: Path, world: Processes) -> Tensor:
    """Make an empty tensor in a file that the processes of a machine share; for one process as `big_tensor`."""
    if world.count == 1:
        return big_tensor(shape, dtype, file.with_suffix(".bin"))
    return file_tensor(shape, dtype, file.with_name(f"{file.name}-{world.machine}.bin"))


def chunks(rows: Rows, size: int) -> Iterator[Rows]:
    """Split a list of rows into batches."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
