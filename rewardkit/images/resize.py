"""Resize images, and arrange several in a grid."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from rewardkit.types import Images


def grid(images: Images, columns: int, gap: int = 2) -> Float[Tensor, "3 _ _"]:
    """Arrange images row by row, `columns` per row, on white with `gap` pixels between them."""
    if columns < 1:
        raise ValueError(f"columns must be 1 or more; got {columns}")
    count, _, height, width = images.shape
    rows = -(-count // columns)
    columns = min(columns, max(count, 1))
    sheet = images.new_ones(3, max(rows * (height + gap) - gap, 0), columns * (width + gap) - gap)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return sheet


def resize(images: Images, size: int | tuple[int, int]) -> Float[Tensor, "batch 3 _ _"]:
    """Resize (bicubic, antialiased, clamped to [0, 1]; differentiable) to (height, width).

    One number sets the shorter side and keeps the aspect ratio, to the nearest pixel.
    """
    height, width = images.shape[-2:]
    if isinstance(size, int):
        shorter = min(height, width)
        size = (max(round(height * size / shorter), 1), max(round(width * size / shorter), 1))
    if size == (height, width):
        return images
    return functional.interpolate(images, size=size, mode="bicubic", antialias=True).clamp(0, 1)
