"""Checks of a reward's result: one finite floating-point score per image, with a gradient if promised."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rewardkit.errors import UserError
from rewardkit.types import Mask, Scores


def checked(name: str, found: Any, images: Tensor, prompts: Sequence[str]) -> Scores:
    """Return one finite floating-point score per image, on the images' device; else raise `UserError`.

    A column (B, 1) or a single number would broadcast against the batch and silently give a wrong loss.
    """
    if not (
        isinstance(found, Tensor)
        and found.shape == (len(images),)
        and found.is_floating_point()
        and found.layout == torch.strided
        and not found.is_meta
    ):
        raise UserError(
            f"reward {name!r} returned {described(found)}; expected a floating-point torch.Tensor of shape "
            f"({len(images)},), one score per image"
        )
    check_finite(name, found, prompts)
    return found.to(images.device)


def described(found: Any) -> str:
    """Describe what a reward returned."""
    if isinstance(found, Tensor) and (found.is_meta or found.layout != torch.strided):
        return f"a tensor without values (device {found.device}, layout {found.layout})"
    if isinstance(found, Tensor):
        return f"a {str(found.dtype).removeprefix('torch.')} tensor of shape {tuple(found.shape)}"
    if isinstance(found, Mapping):
        return f"a dictionary of {', '.join(map(str, found)) or 'nothing'}"
    return f"a value of type {type(found).__name__}"


def check_finite(name: str, scores: Scores, prompts: Sequence[str]) -> None:
    """Raise `UserError` for the first score that is not finite, naming its prompt."""
    bad = (~torch.isfinite(scores.detach())).nonzero().flatten().tolist()
    if bad:
        index = bad[0]
        raise UserError(
            f"reward {name!r} gave {scores[index].item()} for sample {index} of {len(prompts)} "
            f"(prompt: {prompts[index]!r}); check that reward on this image, or leave it out of the panel"
        )


def check_graph(name: str, scores: Scores, asked: Mask) -> None:
    """Refuse scores without a gradient from a reward that promises one, except for prompts not in `asked`."""
    if not scores.requires_grad and asked.any():
        raise UserError(f"reward {name!r} {PROMISED}, but its scores come without one; {REMEDY}")


PROMISED = "claims to be differentiable"
REMEDY = (
    "compute them from the images with torch only, without detach(), numpy or no_grad(), or set differentiable = False "
    "and train on it with --objective nft"
)
