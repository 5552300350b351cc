"""ReFL: fine-tune a diffusion model through differentiable rewards; `refl.train(...)` from Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refl.python import train

__all__ = ["train"]


def __getattr__(name: str) -> Any:
    if name == "train":
        from refl.python import train

        return train
    raise AttributeError(f"module 'refl' has no attribute {name!r}")
