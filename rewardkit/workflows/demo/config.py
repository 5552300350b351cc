"""Options of `rewardkit demo`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoConfig:
    """Train reward models, the image model and the rewriter, measure each by held-out gold judges, write a report."""

    out: Path = Path("runs/demo")
    """Folder of the demo. Steps that are already done there are not repeated."""
    pairs: int = 4800
    """Number of preference pairs to train the reward model on."""
    held_out_pairs: int = 2000
    """Number of preference pairs to evaluate it on."""
    updates: int = 70
    """Number of ReFL updates."""
    held_out: int = 128
    """Number of held-out prompts for the comparison before and after."""
    short_prompts: int = 200
    """Number of short prompts to mine rewrites from."""
    seed: int = 0
    """Random seed."""
