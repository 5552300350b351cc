"""Gradient checkpointing for any family: the graph saves only the inputs of blocks and recomputes the rest."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rewardkit.diffusion.config import Saving
from rewardkit.errors import UserError
from rewardkit.types import Images, Latents


def checkpoint_blocks(network: nn.Module) -> None:
    """Enable it for a diffusers network; raise `UserError` if the network does not support it."""
    host: Any = network
    if not switchable(host):
        raise UserError(f"{type(network).__name__} has no gradient checkpointing; run without it")
    host.enable_gradient_checkpointing(recompute)


def switchable(network: object) -> bool:
    """Whether a network can checkpoint its own blocks."""
    return bool(getattr(network, "_supports_gradient_checkpointing", False))


def recompute(block: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Checkpoint one block; unlike diffusers' default, it passes the keywords that HunyuanImage gives its blocks."""
    return checkpoint(block, *args, use_reentrant=False, **kwargs)


def decode_by_image(decode: Callable[[Latents], Images], latents: Latents) -> Images:
    """Decode image by image, saving only the latents of each; a single image uses the decoder's own checkpointing."""
    if len(latents) == 1:
        return decode(latents)
    pieces: list[Tensor] = [recompute(decode, one) for one in latents.split(1)]
    return torch.cat(pieces)


def save_memory(denoiser: nn.Module, decoder: nn.Module, saving: Saving) -> None:
    """Checkpoint the blocks of the networks in `saving`; raise `UserError` for a denoiser that does not support it.

    A decoder that cannot checkpoint its blocks uses only `decode_by_image`.
    """
    if saving == "all":
        checkpoint_blocks(denoiser)
    if saving != "none" and switchable(decoder):
        checkpoint_blocks(decoder)
