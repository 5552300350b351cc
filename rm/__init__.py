"""Reward models: one encoder, a head an axis, trained on preference pairs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rm.model import RewardModel

__all__ = ["RewardModel"]


def __getattr__(name: str) -> Any:
    if name == "RewardModel":
        from rm.model import RewardModel

        return RewardModel
    raise AttributeError(f"module 'rm' has no attribute {name!r}")
