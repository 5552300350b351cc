"""The conditioning of a base, as zeros of the right shapes; masks stay real on the meta device."""

import torch
from torch import Tensor

from rewardkit.diffusion.base import Base
from rewardkit.plan.dry import META
from rewardkit.types import Conditioning


def conditioning(base: Base, count: int, tokens: int, dtype: torch.dtype, device: torch.device) -> Conditioning:
    """Conditioning of `count` prompts of `tokens` tokens; families that pad to a fixed length use that length."""

    def zeros(name: str, shape: tuple[int, ...]) -> Tensor:
        if not name.endswith("mask"):
            return torch.zeros(count, *shape, dtype=dtype, device=device)
        kept = (torch.arange(*shape) < tokens).expand(count, *shape).contiguous()
        return kept if device == META else kept.to(device)

    return {name: zeros(name, shape) for name, shape in base.text_shapes(tokens).items()}
