"""Embeddings of prompts, each computed once."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch

from rewardkit.diffusion.sampling import concatenate
from rewardkit.errors import UserError
from rewardkit.types import Conditioning


@runtime_checkable
class Reads(Protocol):
    """What encodes prompts for a cache, usually a base."""

    def encode(self, prompts: list[str]) -> Conditioning: ...


@runtime_checkable
class Prompts(Protocol):
    """Returns embeddings of prompts on a device: cached, or computed again."""

    def encode(self, prompts: Sequence[str], device: torch.device) -> Conditioning: ...


class PromptCache:
    """Embeddings of prompts, cached on the CPU up to `limit` bytes, or all of them.

    Prompts are encoded one at a time: in a batch, rounding would depend on the others of the batch, and a resumed
    run, whose cache starts empty, would differ in the last bit.
    """

    def __init__(self, base: Reads, limit: int | None = 2**31) -> None:
        self._base: Reads | None = base
        self._limit = limit
        self._rows: dict[str, Conditioning] = {}
        self._bytes = 0

    def close(self) -> None:
        """Refuse prompts that are not cached from now on."""
        self._base = None

    def encode(self, prompts: Sequence[str], device: torch.device) -> Conditioning:
        """Raise `UserError` for a prompt that was not encoded before the cache was closed."""
        joined = concatenate([self._row(prompt) for prompt in prompts])
        return {name: value.to(device) for name, value in joined.items()}

    def _row(self, prompt: str) -> Conditioning:
        if prompt not in self._rows:
            if self._base is None:
                raise UserError(f"the text encoders were freed before this prompt was encoded: {prompt!r}")
            if self._limit is not None and self._bytes > self._limit:
                self._rows, self._bytes = {}, 0
            row = {name: value.cpu() for name, value in self._base.encode([prompt]).items()}
            self._rows[prompt] = row
            self._bytes += sum(value.nbytes for value in row.values())
        return self._rows[prompt]
