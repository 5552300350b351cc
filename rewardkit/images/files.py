"""Convert images between files, PIL and tensors: float RGB in [0, 1], loaded safely from untrusted files."""

import base64
import io
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.io.files import write_bytes
from rewardkit.io.text import say

OneImage = Float[Tensor, "3 height width"]
"""RGB in [0, 1]."""

ByteImage = UInt8[Tensor, "3 height width"]
"""RGB in 0 to 255."""

FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "TIFF": (".tif", ".tiff"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "TGA": (".tga",),
    "QOI": (".qoi",),
    "PCX": (".pcx",),
    "SGI": (".sgi", ".rgb"),
    "PSD": (".psd",),
    "DDS": (".dds",),
    "ICO": (".ico",),
}
"""Supported formats by Pillow's names, and their endings: only rasters. Others run a program (EPS runs
Ghostscript, whatever the name of the file) or contain no pixels.
"""

SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)
"""Endings that `list_images` treats as images."""

NOT_READ = frozenset((".heic", ".heif", ".svg", ".eps", ".pdf", ".jxl", ".exr", ".hdr", ".cr2", ".nef", ".dng"))
"""Endings of images that cannot be read."""

MAX_PIXELS = 50_000_000
"""A larger image is refused before its pixels are decoded: a few kilobytes can contain a billion of them."""
MAX_SIDE = 65_535
"""The longest side that is read."""

_BROKEN = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError),
    *(MemoryError, RecursionError, IndexError, KeyError, TypeError, AttributeError, OverflowError),
)
"""What PIL raises, depending on the format, for a broken file."""


@runtime_checkable
class ImageBytes(Protocol):
    """An image that is not its own file, such as a cell of a table; `str()` names it. A `Path` is one too."""

    def read_bytes(self) -> bytes:
        """Return the encoded image; raise `UserError` when there is none."""
        ...


class Quiet:
    """Suppress warnings inside, from any thread; Python's own context manager is not thread-safe."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.filters: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.filters = warnings.catch_warnings()
                self.filters.__enter__()
                warnings.simplefilter("ignore")

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside and self.filters is not None:
                self.filters.__exit__(None, None, None)


QUIET = Quiet()


def load_image(source: Path | str | ImageBytes) -> OneImage:
    """Read an image upright (EXIF), over white where it is transparent; the first frame of several.

    Raises `UserError`, naming the file, when it is missing, truncated, not an image, or above `MAX_PIXELS`.
    """
    with _opened(source) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return to_tensor(image)


def load_pixels(source: Path | str | ImageBytes) -> OneImage | ByteImage:
    """Read an image as `load_image` does, as bytes unless it has more than 8 bits: faster if it is resized next."""
    with _opened(source) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return pixels(image)


def pixels(image: Image.Image) -> OneImage | ByteImage:
    """Convert a PIL image to bytes, channels last in memory, or to floats if it has more than 8 bits."""
    return to_tensor(image) if _has_more_than_bytes(image) else _bytes(image)


def load_bytes(source: Path | str | ImageBytes) -> ByteImage:
    """Read an image as `load_image` does, in 8 bits; more bits are rounded."""
    with _opened(source) as image:
        ImageOps.exif_transpose(image, in_place=True)
        found = pixels(image)
        return found if found.dtype == torch.uint8 else found.mul(255).round().byte()


def image_size(source: Path | str | ImageBytes) -> tuple[int, int]:
    """Read the width and height of an image without its pixels; raise `UserError` as `load_image` does."""
    with _opened(source) as image:
        return image.size


@contextmanager
def _opened(source: Path | str | ImageBytes) -> Iterator[Image.Image]:
    """Open an image; whatever its decoder raises inside the block becomes a `UserError` that names the image."""
    source = Path(source) if isinstance(source, str) else source
    if isinstance(source, Path) and not source.is_file():
        raise UserError(f"no image at {source}; check the path")
    try:
        file = source if isinstance(source, Path) else io.BytesIO(source.read_bytes())
        _check_size(_webp_size(file))  # Pillow allocates all pixels of a WebP when it opens it
        # PIL warns of odd metadata and of sizes; the size is checked here.
        with QUIET, Image.open(file, formats=tuple(FORMATS)) as image:
            _check_size(image.size)
            yield image
    except _BROKEN as error:
        raise UserError(f"cannot read image {source}: {_reason(error)}; replace the file or leave it out") from error


def _check_size(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError(f"{width}x{height} is above {MAX_PIXELS:,} pixels")
    if max(size) > MAX_SIDE:
        raise Image.DecompressionBombError(f"{width}x{height} has a side above {MAX_SIDE:,} pixels")


def _webp_size(file: Path | io.BytesIO) -> tuple[int, int]:
    """Read the canvas of an extended WebP or the size of a simple one from its first bytes; (0, 0) for other files."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            head = opened.read(30)
    else:
        head = file.getvalue()[:30]
    if len(head) < 30 or head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return 0, 0
    match head[12:16]:
        case b"VP8X":
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case _:
            width, height = struct.unpack("<HH", head[26:30])
            return width & 0x3FFF, height & 0x3FFF


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image file"
    return " ".join(str(error).split()) or type(error).__name__


def to_tensor(image: Image.Image) -> OneImage:
    """Convert a PIL image of any mode; 16-bit grey keeps its depth, transparency is composited over white.

    Raises `ValueError` for a float image outside [0, 1], because its white level is unknown.
    """
    if _has_more_than_bytes(image):
        grey = torch.from_numpy(np.asarray(image, dtype=np.float32) / (1.0 if image.mode == "F" else 65535.0))
        if not (grey.min() >= 0 and grey.max() <= 1):
            raise ValueError(f"mode {image.mode} with values outside its range; save it as 8 or 16 bit")
        return grey.expand(3, -1, -1).clone()
    return _bytes(image).contiguous().float().div_(255)  # moving bytes is cheaper than moving floats


def _has_more_than_bytes(image: Image.Image) -> bool:
    return image.mode == "F" or image.mode.startswith("I")


def _bytes(image: Image.Image) -> ByteImage:
    """Convert to RGB over white, with PIL's strides (channels last)."""
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return torch.from_numpy(np.array(image if image.mode == "RGB" else image.convert("RGB"))).permute(2, 0, 1)


def to_pil(image: OneImage) -> Image.Image:
    """Convert to 8-bit PIL: values are clamped to [0, 1] and rounded; raises `ValueError` for NaN."""
    image = image.detach().float().cpu()
    if image.isnan().any():
        raise ValueError("the image contains NaN")
    return Image.fromarray(image.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy())


def save_image(image: OneImage, path: Path | str) -> None:
    """Write an image in the format of the path's ending (PNG without one), atomically."""
    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower() or ".png")
    if kind is None:
        raise UserError(f"no image format for {path.name!r}; end the name in .png, .jpg or .webp")
    write_bytes(path, _encoded(image, kind))


def data_uri(image: OneImage, format: Literal["webp", "png"] = "webp") -> str:
    """Encode an image as a `data:` URI, so that a page needs no other file."""
    return f"data:image/{format};base64,{base64.b64encode(_encoded(image, format)).decode()}"


def _encoded(image: OneImage, kind: str) -> bytes:
    buffer = io.BytesIO()
    options = {"quality": 92} if kind.upper() in {"JPEG", "WEBP"} else {}
    to_pil(image).save(buffer, format=kind, **options)
    return buffer.getvalue()


def is_image_name(name: str) -> bool:
    """Return whether a file's name ends like an image's; hidden files (`._1.png` of macOS) do not count."""
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")


def list_images(folder: Path | str) -> list[Path]:
    """List a folder's images in natural order: `2.png` before `10.png`.

    What is left out (links to nothing, images in sub-folders) is counted in one line. Raises `UserError` if there is no
    such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no folder at {folder}; check the path")
    named = [path for path in folder.iterdir() if is_image_name(path.name)]
    found = [path for path in named if path.is_file()]
    left_out = _left_out(folder, named)
    if not found:
        raise UserError(
            f"no images in {folder}; it needs files ending in .png, .jpg, .webp or the like"
            + (f" (left out: {left_out})" if left_out else "")
        )
    if left_out:
        say(f"{folder}: left out: {left_out}")
    return sorted(found, key=_counted)


def _left_out(folder: Path, named: list[Path]) -> str:
    """Count what a folder holds beside its images that a user may take for some."""
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    kinds = {
        "links that lead nowhere": [path for path in named if path.is_symlink() and not path.exists()],
        "images in sub-folders": [path for sub in folders for path in sub.iterdir() if is_image_name(path.name)],
        "files of formats that are not read": [path for path in folder.iterdir() if path.suffix.lower() in NOT_READ],
    }
    return ", ".join(f"{len(paths)} {what} ({min(paths).name})" for what, paths in kinds.items() if paths)


def _counted(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name
