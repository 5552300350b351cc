"""Scaled RoPE: rotary positions counted from the centre of the image and scaled by its resolution.

Seedream 2.0 (arXiv:2503.07703, 3.1) requires that the patches at the centre of an image have similar position ids at
every resolution, but gives no formula. Ours is `position(i) = scale * (i - (n - 1) / 2)` with `scale = (n_base / n) **
exponent` for an axis of `n` patches: exponent 0 only centres (the ids of centre patches stay the same, the border
extrapolates), exponent 1 keeps the range seen in training.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def centred_positions(patches: int, base_patches: int, exponent: float) -> Float[Tensor, " patches"]:
    """Positions of the patches along one axis, 0 at the centre; a step of 1 at the base resolution."""
    scale = (base_patches / patches) ** exponent
    return scale * (torch.arange(patches, dtype=torch.float32) - (patches - 1) / 2)


def frequencies(head_dim: int, theta: float = 100.0) -> Float[Tensor, " quarter"]:
    """Rotation frequency of each channel; `theta` is small for an image of few patches (10,000 is for long text)."""
    quarter = head_dim // 4
    return theta ** (-torch.arange(quarter, dtype=torch.float32) / quarter)


def image_angles(
    height: int, width: int, *, base_patches: int, head_dim: int, exponent: float = 1.0
) -> Float[Tensor, "1 patches half_head_dim"]:
    """Rotation angles of each patch, row by row: the first half depends on the row, the second on the column."""
    turns = frequencies(head_dim)
    rows = (centred_positions(height, base_patches, exponent)[:, None] * turns)[:, None].expand(height, width, -1)
    columns = (centred_positions(width, base_patches, exponent)[:, None] * turns)[None].expand(height, width, -1)
    return torch.cat([rows, columns], dim=-1).reshape(1, height * width, head_dim // 2)


def glyph_angles(mask: Bool[Tensor, "batch glyphs"], head_dim: int) -> Float[Tensor, "batch glyphs half_head_dim"]:
    """Rotation angles of the quoted text's bytes: one centred row, with a step of 1 per byte.

    After the cross-modality RoPE of Seedream 3.0 (arXiv:2504.11346), which gives text tokens 2D positions [1, L].
    The last byte is the end token, so n bytes are n - 1 letters.
    """
    letters = mask.sum(1, keepdim=True) - 1
    positions = torch.arange(mask.shape[1], device=mask.device) - (letters - 1) / 2
    columns = positions[..., None] * frequencies(head_dim).to(mask.device)
    return torch.cat([torch.zeros_like(columns), columns], dim=-1)


def rotate(
    x: Float[Tensor, "batch heads tokens head_dim"], angles: Float[Tensor, "any tokens half_head_dim"]
) -> Float[Tensor, "batch heads tokens head_dim"]:
    """Rotate each pair of channels by its angle (Su et al. 2021, arXiv:2104.09864); angles are per sample or shared."""
    angles = angles[:, None]
    first, second = x.chunk(2, dim=-1)
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
