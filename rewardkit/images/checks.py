"""Check that a user's input is a batch of images as used everywhere here: float RGB in [0, 1]."""

from typing import Any

import torch
from torch import Tensor

from rewardkit.errors import UserError

SLACK = 0.25
"""How far outside [0, 1] a value may be: bicubic resizing overshoots at edges."""

EXPECTED = "a floating-point torch.Tensor of shape (B, 3, H, W) with values in [0, 1]"


def check_images(images: Any, who: str) -> None:
    """Raise `UserError`, naming `who` needs it, unless this is a floating-point tensor (B, 3, H, W) in [0, 1]."""
    if not isinstance(images, Tensor):
        raise UserError(f"{who} needs images as {EXPECTED}; got a value of type {type(images).__name__}")
    if not images.is_floating_point() or images.ndim != 4 or images.shape[1] != 3:
        kind = str(images.dtype).removeprefix("torch.")
        hint = "; divide by 255" if images.dtype == torch.uint8 else ""
        raise UserError(f"{who} needs images as {EXPECTED}; got a {kind} tensor of shape {tuple(images.shape)}{hint}")
    check_range(images, who)


def check_range(images: Tensor, who: str) -> None:
    """Raise `UserError` for values in another range (0 to 255, -1 to 1), or not finite."""
    if not images.numel():
        return
    low, high = (value.item() for value in images.detach().aminmax())
    if low >= -SLACK and high <= 1 + SLACK:  # false for a NaN, too
        return
    hint = "divide by 255" if high > 2 and low >= 0 else "use (images + 1) / 2" if -1 - SLACK <= low < 0 else ""
    raise UserError(
        f"{who} needs images with values in [0, 1]; got values from {low:.3g} to {high:.3g}{hint and f'; {hint}'}"
    )
