"""The prompt rewriter: mine preference pairs from generated images, fine-tune (SFT, SimPO), rewrite."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pe.python import mine, train_sft, train_simpo
    from pe.rewriter import Rewriter

_HOMES = {
    "Rewriter": "pe.rewriter",
    "mine": "pe.python",
    "train_sft": "pe.python",
    "train_simpo": "pe.python",
}

__all__ = ["Rewriter", "mine", "train_sft", "train_simpo"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pe' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
