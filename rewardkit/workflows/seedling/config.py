"""Options of `rewardkit seedling`."""

from dataclasses import dataclass
from pathlib import Path

from rewardkit.training.tracker import Tracker


@dataclass(frozen=True)
class SeedlingConfig:
    """Train every part of the built-in base that is not trained yet; write bfloat16 weights and figures.json."""

    out: Path = Path("runs/seedling")
    """Run folder; the weights to ship are written to its sub-folder weights."""
    posters: int = 40_000
    """Number of posters to train on."""
    vae_updates: int = 2600
    """Updates of the VAE, of 64 posters each."""
    base_updates: int = 4000
    """Updates of the transformer and its text encoders, of 64 posters each."""
    clip_updates: int = 2400
    """Updates of the CLIP, of 128 posters each."""
    rewriter_updates: int = 500
    """Updates of the rewriter's language model, of 64 texts each."""
    batch_size: int = 64
    """Posters per update (twice as many for the CLIP)."""
    seed: int = 0
    """Random seed."""
    device: str = "auto"
    """Device: auto (the GPU where there is one), cpu, cuda or mps."""
    tracker: Tracker = "tensorboard"
    """Where metrics go besides metrics.jsonl: TensorBoard files in the run folder, wandb (an extra:
    pip install 'rewardkit[wandb]'), or none."""
