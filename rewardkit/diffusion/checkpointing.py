"""Gradient checkpointing for any family: the graph keeps the inputs of a block and computes its inside again."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rewardkit.diffusion.config import Saving
from rewardkit.errors import UserError
from rewardkit.types import Images, Latents


def checkpoint_blocks(network: nn.Module) -> None:
    """Switch it on for a diffusers network; raise `UserError` where the network has no such switch."""
    host: Any = network
    if not switchable(host):
        raise UserError(f"{type(network).__name__} has no gradient checkpointing; run without it")
    host.enable_gradient_checkpointing(recompute)


def switchable(network: object) -> bool:
    """Whether a network can checkpoint its own blocks."""
    return bool(getattr(network, "_supports_gradient_checkpointing", False))


def recompute(block: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Checkpoint one block; unlike diffusers' own default, with the keywords HunyuanImage gives its blocks."""
    return checkpoint(block, *args, use_reentrant=False, **kwargs)


def decode_by_image(decode: Callable[[Latents], Images], latents: Latents) -> Images:
    """Decode image by image, keeping only the latents of each; a single one is left to its decoder's own blocks."""
    if len(latents) == 1:
        return decode(latents)
    pieces: list[Tensor] = [recompute(decode, one) for one in latents.split(1)]
    return torch.cat(pieces)


def save_memory(denoiser: nn.Module, decoder: nn.Module, saving: Saving) -> None:
    """Checkpoint the blocks of what `saving` names; raise `UserError` for a denoiser that cannot.

    A decoder without blocks of its own to checkpoint has `decode_by_image` alone.
    """
    if saving == "all":
        checkpoint_blocks(denoiser)
    if saving != "none" and switchable(decoder):
        checkpoint_blocks(decoder)
