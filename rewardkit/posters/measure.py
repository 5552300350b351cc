"""Measure what is on a poster from its pixels: colours against the palette, the figure by geometry.

There is no network. The background is the median colour of the rows that no figure reaches; the figure is the largest
patch that differs from it; its position is its centroid, its size the area, and its shape the outline with the largest
overlap at the same centroid and area. This is robust to blur, noise and soft edges.

Every measure is a probability for each choice of an attribute, so that half right counts as half.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from rewardkit.posters.colour import lab, which
from rewardkit.posters.draw import CENTRE_X, GRID, RADIUS, background_rgb, outline, shape_rgb
from rewardkit.posters.scene import BACKGROUNDS, CHOICES, COLOURS, FINISHES, SHAPES
from rewardkit.types import Images, PerImage

FIGURE_ROWS = 42
"""Rows of the grid above the text, where the figure is."""
FREE_ROWS = (*range(5), *range(39, 42))
"""Rows that neither a figure nor the text reaches."""
VISIBLE = 12.0
"""Minimum difference of a figure from its background (CIELAB)."""
SMALLEST = 30
"""Minimum area of a figure in pixels of the grid."""
OVERLAP = (0.55, 0.8)
"""Overlap (IoU) with the best outline below which a figure has no shape, and above which it has one."""
_CANVAS = 128
_REACH = 2.0
"""The outline's radius is 1 on a canvas from -2 to 2."""


@dataclass(frozen=True)
class Figure:
    """The figures of a batch, in units of the 64-grid."""

    colour: Float[Tensor, "batch 3"]
    """Median RGB."""
    cover: Float[Tensor, "batch rows columns"]
    """How much of each pixel belongs to a figure, in [0, 1]."""
    x: PerImage
    y: PerImage
    area: PerImage
    """Pixels covered by the largest patch; 0 where there is no figure."""


def measure(images: Images) -> dict[str, Float[Tensor, "batch choices"]]:
    """Compute for every attribute but the finish the probability of each choice, in the order of `CHOICES`.

    They are 0 for the attributes of a missing figure. Images can have any size; returns CPU tensors.
    """
    pixels = _on_grid(images)
    ground = pixels[:, :, list(FREE_ROWS)].flatten(2).median(-1).values
    figure = find_figure(pixels[:, :, :FIGURE_ROWS], ground)
    there = (figure.area > 0).to(pixels)[:, None]
    shape, radius = which_shape(figure)
    return {
        "shape": shape * there,
        "colour": which(figure.colour, _palette("colour")) * there,
        "position": _near(figure.x, tuple(CENTRE_X.values()), spread=4.0) * there,
        "size": _near(radius, tuple(RADIUS.values()), spread=1.6) * there,
        "background": which(ground, _palette("background")),
    }


def _on_grid(images: Images) -> Float[Tensor, "batch 3 64 64"]:
    pixels = images.detach().float().cpu().clamp(0, 1)
    if pixels.shape[-2:] == (GRID, GRID):
        return pixels
    return functional.interpolate(pixels, (GRID, GRID), mode="bilinear", antialias=True)


def _near(value: PerImage, centres: tuple[float, ...], *, spread: float) -> Float[Tensor, "batch choices"]:
    """Probability of each centre given a value."""
    return torch.softmax(-(value[:, None] - value.new_tensor(centres)).square() / (2 * spread**2), dim=-1)


def _palette(attribute: str) -> Float[Tensor, "names finishes 3"]:
    paint, names = (shape_rgb, COLOURS) if attribute == "colour" else (background_rgb, BACKGROUNDS)
    return torch.tensor([[paint(name, finish) for finish in FINISHES] for name in names]) / 255


def find_figure(pixels: Images, ground: Float[Tensor, "batch 3"]) -> Figure:
    """Segment the figure from a background of this colour by CIELAB distance, and measure its largest patch."""
    smooth = functional.avg_pool2d(functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    distance = (lab(smooth.movedim(1, -1)) - lab(ground)[:, None, None]).norm(dim=-1)
    strongest = distance.flatten(1).topk(SMALLEST).values.mean(1)
    patch = _largest_patch(distance > (strongest / 2).clamp_min(VISIBLE)[:, None, None])
    colour = _median_inside(pixels, patch)
    cover = _cover(pixels, ground, colour)
    own = cover * torch.from_numpy(_grown(patch.numpy()))
    area = own.sum((1, 2)) * (patch.sum((1, 2)) >= SMALLEST)
    y, x = (torch.arange(n, dtype=torch.float32) + 0.5 for n in pixels.shape[-2:])
    weight = own.sum((1, 2)).clamp_min(1e-6)
    return Figure(colour, cover, (own.sum(1) @ x) / weight, (own.sum(2) @ y) / weight, area)


def _largest_patch(mask: Tensor) -> Tensor:
    patches = np.zeros(mask.shape, dtype=bool)
    for index, one in enumerate(mask.numpy()):
        labels, count = ndimage.label(one)
        if count:
            patches[index] = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return torch.from_numpy(patches)


def _grown(patches: np.ndarray, by: int = 2) -> np.ndarray:
    around = ndimage.generate_binary_structure(2, 2)[None]
    grown: np.ndarray = ndimage.binary_dilation(patches, around, iterations=by)
    return grown


def _median_inside(pixels: Images, patch: Tensor) -> Float[Tensor, "batch 3"]:
    """Median colour of a patch without its blended rim, unless nothing else remains."""
    rim = ndimage.generate_binary_structure(2, 1)[None]
    inner = torch.from_numpy(ndimage.binary_erosion(patch.numpy(), rim))
    inside = torch.where((inner.sum((1, 2)) >= 9)[:, None, None], inner, patch)
    inside = inside | ~inside.any(2, keepdim=True).any(1, keepdim=True)
    values = torch.where(inside[:, None], pixels, torch.nan).flatten(2)
    return values.nanmedian(-1).values


def _cover(pixels: Images, ground: Float[Tensor, "batch 3"], colour: Float[Tensor, "batch 3"]) -> Tensor:
    """Position of each pixel between the background's colour and the figure's; below a third counts as noise."""
    way = colour - ground
    along = ((pixels - ground[:, :, None, None]) * way[:, :, None, None]).sum(1)
    cover = (along / way.square().sum(1).clamp_min(1e-4)[:, None, None]).clamp(0, 1)
    return torch.where(cover > 1 / 3, cover, 0.0)


def which_shape(figure: Figure) -> tuple[Float[Tensor, "batch shapes"], PerImage]:
    """Compute the probability of each shape from the overlap with its outline, and the radius of the best."""
    area, centre = _outline_moments()
    radius = (figure.area[:, None] / area).sqrt().clamp_min(1.0)
    overlap = _overlap(figure, radius, centre)
    low, high = OVERLAP
    clear = ((overlap.amax(1, keepdim=True) - low) / (high - low)).clamp(0, 1)
    best = overlap.argmax(1, keepdim=True)
    return torch.softmax(overlap / 0.02, dim=1) * clear, radius.gather(1, best).squeeze(1)


def _overlap(figure: Figure, radius: Tensor, centre: Tensor) -> Float[Tensor, "batch shapes"]:
    """Intersection over union of each figure with each outline of the same area and centroid."""
    rows, columns = figure.cover.shape[1:]
    y, x = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    place = torch.stack([x, y], -1)
    from_centroid = place - torch.stack([figure.x, figure.y], -1)[:, None, None]
    grid = (from_centroid[:, None] / radius[:, :, None, None, None] + centre[:, None, None]) / _REACH
    outlines = _outlines()[:, None].expand(len(SHAPES), len(figure.x), -1, -1).transpose(0, 1)
    laid = functional.grid_sample(
        outlines.reshape(-1, 1, _CANVAS, _CANVAS), grid.flatten(0, 1), align_corners=False
    ).view(len(figure.x), len(SHAPES), rows, columns)
    cover = figure.cover[:, None]
    return torch.minimum(laid, cover).sum((2, 3)) / torch.maximum(laid, cover).sum((2, 3)).clamp_min(1e-6)


def _outlines() -> Float[Tensor, "shapes canvas canvas"]:
    """All shapes with radius 1, filled, on a canvas from -2 to 2."""
    canvases = []
    for shape in SHAPES:
        canvas = Image.new("L", (4 * _CANVAS, 4 * _CANVAS))
        scale = 4 * _CANVAS / (2 * _REACH)
        corners = [((x + _REACH) * scale, (y + _REACH) * scale) for x, y in outline(shape, 0.0, 0.0, 1.0)]
        ImageDraw.Draw(canvas).polygon(corners, 255)
        canvases.append(np.asarray(canvas.reduce(4), dtype=np.float32) / 255)
    return torch.from_numpy(np.stack(canvases))


def _outline_moments() -> tuple[Float[Tensor, " shapes"], Float[Tensor, "shapes 2"]]:
    """Area and centroid (x, y) of the shapes with radius 1."""
    canvases = _outlines()
    step = 2 * _REACH / _CANVAS
    along = (torch.arange(_CANVAS) + 0.5) * step - _REACH
    mass = canvases.sum((1, 2))
    return mass * step**2, torch.stack([canvases.sum(1) @ along / mass, canvases.sum(2) @ along / mass], -1)


assert tuple(CHOICES["position"]) == tuple(CENTRE_X)
assert tuple(CHOICES["size"]) == tuple(RADIUS)
