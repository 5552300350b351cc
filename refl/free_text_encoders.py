"""Free the text encoders once every prompt of a run is encoded: in large models they take much of the memory."""

from collections.abc import Iterable

import torch

from rewardkit.diffusion.base import Base
from rewardkit.diffusion.prompt_cache import PromptCache


def free_text_encoders(base: Base, device: torch.device, prompts: Iterable[str]) -> PromptCache:
    """Encode the prompts and the empty prompt, free the text encoders; return the embeddings, on the CPU.

    Afterwards the base cannot encode, and the cache raises `UserError` for any other prompt.
    """
    cache = PromptCache(base, limit=None)
    for prompt in dict.fromkeys(["", *prompts]):
        cache.encode([prompt], device)
    cache.close()
    base.pipeline.register_modules(**dict.fromkeys(base.text_encoders))
    return cache
