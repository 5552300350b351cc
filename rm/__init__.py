"""Reward models: one encoder, one head per axis, trained on preference pairs; `rm.train(...)` from Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rm.model import RewardModel
    from rm.python import train

__all__ = ["RewardModel", "train"]


def __getattr__(name: str) -> Any:
    if name == "RewardModel":
        from rm.model import RewardModel

        return RewardModel
    if name == "train":
        from rm.python import train

        return train
    raise AttributeError(f"module 'rm' has no attribute {name!r}")
