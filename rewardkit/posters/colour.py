"""Perceptual colours: CIELAB, and the probability of each colour of a palette."""

import torch
from jaxtyping import Float
from torch import Tensor

SPREAD = 9.0
"""Spread of a named colour in CIELAB units: larger than noise, blur and a model's drift, smaller than to the next."""

_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.9505, 1.0, 1.089)


def lab(rgb: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape 3"]:
    """Convert sRGB in [0, 1] to CIELAB (D65): L in [0, 100], a and b about [-100, 100]."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ rgb.new_tensor(_TO_XYZ).T / rgb.new_tensor(_WHITE)
    root = torch.where(xyz > 0.008856, xyz.clamp_min(1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.unbind(-1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-1)


def which(
    colours: Float[Tensor, "batch 3"], palette: Float[Tensor, "names finishes 3"], spread: float = SPREAD
) -> Float[Tensor, "batch names"]:
    """Compute the probability of each name of an RGB palette for RGB colours; the closest finish of a name counts."""
    distance = (lab(colours)[:, None, None] - lab(palette)).square().sum(-1).amin(-1)
    return torch.softmax(-distance / (2 * spread**2), dim=-1)
