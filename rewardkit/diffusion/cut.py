"""Count the prompts that a base or a reward reads only in part."""

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rewardkit.diffusion.base import Base
from rewardkit.encoders.base import Encoder
from rewardkit.rewards.loaded import LoadedReward

TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4")
UNLIMITED = 100_000
"""Tokenizers without a limit say a number far above this."""


def warn_cut(prompts: Iterable[str], base: Base | None = None, rewards: Sequence[LoadedReward] = ()) -> None:
    """Print one line on stderr for the base and for each reward that cuts some of these prompts."""
    prompts = list(dict.fromkeys(prompts))
    readers: list[tuple[str, int, Callable[[Sequence[str]], list[int]]]] = []
    if base is not None and (found := longest_reader(base.pipeline)):
        readers.append(("the base", found[1], lambda texts: [len(ids) for ids in found[0](list(texts)).input_ids]))
    for reward in rewards:
        encoder = getattr(reward.source, "encoder", None)
        if isinstance(encoder, Encoder) and encoder.reads_text and encoder.context_length:
            readers.append((f"reward {reward.name!r}", encoder.context_length, encoder.token_counts))
    for who, limit, count in readers:
        long = [prompt for prompt, tokens in zip(prompts, count(prompts), strict=True) if tokens > limit]
        if long:
            print(
                f"{len(long)} of {len(prompts)} prompts are cut: {who} reads {limit} tokens ({long[0][:40]!r} ...)",
                file=sys.stderr,
            )


def longest_reader(pipeline: Any) -> tuple[Any, int] | None:
    """The tokenizer of a pipeline that reads most of a prompt, and how many tokens; None if no limit is known.

    A tokenizer of bytes reads the quoted text alone, so it does not count.
    """
    default = inspect.signature(pipeline.encode_prompt).parameters.get("max_sequence_length")
    asked = default.default if default is not None and isinstance(default.default, int) else UNLIMITED
    own = getattr(pipeline.transformer.config, "max_text", UNLIMITED)
    found = [getattr(pipeline, name, None) for name in TOKENIZERS]
    limits = [
        (one, min(int(one.model_max_length), asked, own))
        for one in found
        if one is not None and "ByT5" not in type(one).__name__
    ]
    tokenizer, limit = max(limits, key=lambda pair: pair[1], default=(None, UNLIMITED))
    return (tokenizer, limit) if limit < UNLIMITED else None
