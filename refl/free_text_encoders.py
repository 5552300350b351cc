"""Free the text encoders once every prompt of a run has been read: on large models they are much of the memory."""

from collections.abc import Iterable

import torch

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
    base.pipeline.register_modules(**dict.fromkeys(base.text_encoders))
    return cache
