"""Seedling, the built-in base: the architecture of Seedream, small enough to ship and to train on a laptop.

`weights/base` is a diffusers pipeline folder, `weights/clip` an open_clip folder and `weights/rewriter` a transformers
folder, so the rest of the toolkit treats them like any other model.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rewardkit.seedling.pipeline import SeedlingPipeline
    from rewardkit.seedling.transformer import SeedlingTransformer
    from rewardkit.seedling.vae import SeedlingVAE

WEIGHTS = Path(__file__).parent / "weights"

__all__ = ["WEIGHTS", "SeedlingPipeline", "SeedlingTransformer", "SeedlingVAE"]

_HOMES = {"SeedlingPipeline": "pipeline", "SeedlingTransformer": "transformer", "SeedlingVAE": "vae"}


def __getattr__(name: str) -> Any:
    """Import a class on first use; diffusers finds the components here by name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
