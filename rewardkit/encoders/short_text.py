"""Prompts are short and repeat: a text tower encodes each distinct prompt once, up to the end of the longest."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.func import functional_call

from rewardkit.encoders.base import Embedding


def each_once(prompts: Sequence[str], encode: Callable[[list[str]], Tensor]) -> Tensor:
    """Encode each distinct prompt once; return one row per prompt."""
    row = {prompt: index for index, prompt in enumerate(dict.fromkeys(prompts))}
    found = encode(list(row))
    return found if len(row) == len(prompts) else found[[row[prompt] for prompt in prompts]]


def causal_embedding(clip: nn.Module, ids: Int[Tensor, "batch context"]) -> Embedding:
    """Embed tokens with an open_clip model, at unit length: the same as its `encode_text`, without work on padding.

    In a causal tower no token attends to a later one, so nothing after the end token affects its embedding.
    Other towers (separate modules, bidirectional, pooled at the last position) are run at full length.
    """
    parts: dict[str, Tensor] = {**dict(clip.named_parameters(recurse=False)), **dict(clip.named_buffers(recurse=False))}
    pool = getattr(clip, "text_pool_type", None)
    if pool not in ("argmax", "eos") or not {"positional_embedding", "attn_mask"} <= parts.keys():
        whole: Embedding = clip.encode_text(ids, normalize=True)  # type: ignore[operator]
        return whole
    mark: Any = clip.text_eos_id if pool == "eos" else None
    end = ids.argmax(1) if mark is None else (ids == mark).int().argmax(1)
    length = int(end.max()) + 1
    cut = {
        "positional_embedding": parts["positional_embedding"][:length],
        "attn_mask": parts["attn_mask"][:length, :length],
    }
    out = functional_call(clip, cut, kwargs={"text": ids[:, :length]})
    return out["text_features"] if isinstance(out, dict) else out[1]


def until_the_end(ids: Int[Tensor, "batch context"], end: int) -> Int[Tensor, "batch length"]:
    """Truncate tokens for a causal transformers CLIP after the last end token; not if a row has none.

    Old configurations have an end token of 2 and mean the highest token of the row.
    """
    marks = ids == (ids.amax(1, keepdim=True) if end == 2 else end)
    last = torch.where(marks.any(1), marks.int().argmax(1), ids.shape[1] - 1)
    return ids[:, : int(last.max()) + 1]
