"""The wanted text of a prompt as bytes, so that a head can compare it with the image letter by letter."""

import unicodedata
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from rewardkit.prompts import wanted_text

MAX_BYTES = 64
PAD = 0
"""A byte's id is the byte plus one."""

Glyphs = Int[Tensor, "batch length"]


def glyphs(prompts: Sequence[str], max_bytes: int = MAX_BYTES) -> Glyphs:
    """Return the UTF-8 bytes of what each prompt quotes; a row of padding if it quotes nothing.

    The text is NFC-normalised with single spaces; case is kept, because upper and lower case look different.
    """
    rows = [encode(wanted_text(prompt))[:max_bytes] for prompt in prompts]
    ids = torch.zeros(len(rows), max(map(len, rows), default=0) or 1, dtype=torch.long)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = torch.tensor(values, dtype=torch.long)
    return ids


def encode(text: str) -> list[int]:
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    return [byte + 1 for byte in plain.encode()]
