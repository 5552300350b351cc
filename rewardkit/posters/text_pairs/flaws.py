"""Flaws of generated text, each added to a poster with the right text.

A slip changes what is written (letters swapped, missing, doubled; another language); a malformation changes how it is
drawn (strokes erased or bent, letters that fill the image). Giant letters can be read without an error: training on an
OCR reward alone leads to them, at the cost of the image.
"""

from collections.abc import Callable, Mapping

import torch
from PIL import Image, ImageDraw
from torch import Generator
from torch.nn import functional

from rewardkit.images import to_pil, to_tensor
from rewardkit.posters.draw import GRID, INK, draw
from rewardkit.posters.flaws import erase_strokes
from rewardkit.posters.fonts import load_font
from rewardkit.posters.scene import Scene, chance, pick
from rewardkit.posters.text_pairs.typefaces import Typeface

TEXT_TOP = 42
"""The text of a poster is below this line, on the grid of 64."""
BEND = 5.0
"""Bent letters are moved by up to this many units of the grid."""
LETTER_PIXELS = 200
"""Height at which giant letters are drawn before they are stretched over the image."""


def swapped(text: str, generator: Generator) -> str | None:
    """Exchange two neighbours that differ."""
    places = [at for at in range(len(text) - 1) if text[at] != text[at + 1] and " " not in text[at : at + 2]]
    at = _one_of(places, generator)
    return None if at is None else text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def missing(text: str, generator: Generator) -> str | None:
    """Leave a letter out; `None` if nothing would be left."""
    at = _one_of(_letters(text), generator)
    return None if at is None or len(text) < 2 else text[:at] + text[at + 1 :]


def doubled(text: str, generator: Generator) -> str | None:
    """Write a letter twice."""
    at = _one_of(_letters(text), generator)
    return None if at is None else text[: at + 1] + text[at:]


def _letters(text: str) -> list[int]:
    return [at for at, letter in enumerate(text) if not letter.isspace()]


def _one_of(places: list[int], generator: Generator) -> int | None:
    return pick(places, generator) if places else None


def strokes(scene: Scene, size: int, face: Typeface, generator: Generator) -> Image.Image:
    """Draw the right text, then erase strokes or bend letters into shapes that no font has."""
    image = draw(scene, size, face.path)
    if chance(0.5, generator):
        erase_strokes(image, scene, generator)
        return image
    return bent(image, generator)


def bent(image: Image.Image, generator: Generator) -> Image.Image:
    """Move the columns of the text area up and down, and its rows left and right, along random waves."""
    foot = round(TEXT_TOP * image.height / GRID)
    part = to_tensor(image.crop((0, foot, image.width, image.height)))
    height, width = part.shape[1:]
    knots = (2 * torch.rand(2, 1, 10, generator=generator) - 1) * 2 * BEND * image.width / GRID
    down = functional.interpolate(knots[:1], width, mode="linear")[0, 0] / height
    along = functional.interpolate(knots[1:, :, :5], height, mode="linear")[0, 0] / (2 * width)
    grid = functional.affine_grid(torch.eye(2, 3)[None], [1, 3, height, width], align_corners=False)
    grid = grid + torch.stack([along[:, None].expand(-1, width), down.expand(height, -1)], -1)
    moved = functional.grid_sample(part[None], grid, padding_mode="border", align_corners=False)[0]
    whole = image.copy()
    whole.paste(to_pil(moved), (0, foot))
    return whole


def giant(scene: Scene, size: int, face: Typeface, generator: Generator) -> Image.Image:
    """Draw the right text so large that it covers the whole image."""
    image = draw(scene, size, face.path)
    text, font = str(scene.text), load_font(face.path, LETTER_PIXELS)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(text))
    stencil = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(stencil).text((-left, -top), text, fill=255, font=font)
    edge = round(size * (0.01 + 0.03 * float(torch.rand((), generator=generator))))
    stencil = stencil.resize((size - 2 * edge, size - 2 * edge), Image.Resampling.LANCZOS)
    image.paste(INK[str(scene.background)], (edge, edge), stencil)
    return image


SLIPS: Mapping[str, Callable[[str, Generator], str | None]] = {
    "swapped": swapped,
    "missing": missing,
    "doubled": doubled,
}
"""Kind -> (text) -> the flawed text, `None` if it cannot have this flaw."""

MALFORMED: Mapping[str, Callable[[Scene, int, Typeface, Generator], Image.Image]] = {"strokes": strokes, "giant": giant}
"""Kind -> (scene) -> the flawed poster."""
