"""Images small enough to sit inside a page."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from PIL import Image
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.images import load_image, to_pil
from rewardkit.report.page import Picture

SMALL = 128
"""Images up to this side are not resized, and shown with sharp edges."""


def picture(path: Path | None, label: str, facts: Mapping[str, str] = MappingProxyType({}), side: int = 320) -> Picture:
    """Make a gallery image from a file; a missing or unreadable file becomes an empty frame."""
    try:
        return Picture("", label, facts) if path is None else tensor_picture(load_image(path), label, facts, side)
    except UserError:
        return Picture("", label, facts)


def tensor_picture(
    image: Tensor, label: str, facts: Mapping[str, str] = MappingProxyType({}), side: int = 320
) -> Picture:
    """Make a gallery image from a (3, H, W) image in [0, 1], at most `side` pixels wide or high."""
    small = max(image.shape[1:]) <= SMALL
    drawn = to_pil(image)
    if max(drawn.size) > side and not small:
        drawn.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    drawn.save(buffer, "WEBP", lossless=small, quality=80, method=4)
    source = "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(source, label, facts, pixels=small)
