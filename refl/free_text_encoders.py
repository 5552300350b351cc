"""Free the text encoders once every prompt of a run has been read: on large models they are much of the memory."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from rewardkit.diffusion.base import Base
from rewardkit.diffusion.prompt_cache import PromptCache


def free_text_encoders(base: Base, device: torch.device, prompts: Iterable[str]) -> PromptCache:
    """Read the prompts and the empty one, drop the pipeline's text encoders; return the embeddings, on the CPU.

    From then on the base encodes nothing, and the cache raises `UserError` for any other prompt.
    """
    cache = PromptCache(base, limit=None)
    for prompt in dict.fromkeys(["", *prompts]):
        cache.encode([prompt], device)
    cache.close()
    pipeline: Any = getattr(base, "pipeline", None)
    kept = (base.denoiser, getattr(pipeline, "vae", None))
    dropped = {
        name: None
        for name, part in (pipeline.components if pipeline is not None else {}).items()
        if isinstance(part, nn.Module) and all(part is not one for one in kept)
    }
    if dropped:
        pipeline.register_modules(**dropped)
    return cache
