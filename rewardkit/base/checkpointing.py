"""Gradient checkpointing for any family: the graph keeps the inputs of a block and computes its inside again."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

from rewardkit.errors import UserError


def checkpoint_blocks(denoiser: nn.Module) -> None:
    """Switch it on for a diffusers network; raise `UserError` where the network has no such switch."""
    host: Any = denoiser
    if not getattr(host, "_supports_gradient_checkpointing", False):
        raise UserError(f"{type(denoiser).__name__} has no gradient checkpointing; run without it")
    host.enable_gradient_checkpointing(recompute)


def recompute(block: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Checkpoint one block; unlike diffusers' own default, with the keywords HunyuanImage gives its blocks."""
    return checkpoint(block, *args, use_reentrant=False, **kwargs)
