"""Options that every trainer has: a section of its --help."""

from dataclasses import dataclass

from rewardkit.training.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Run:
    """Seed, resume and logging."""

    seed: int = 0
    """Random seed of the run."""
    resume: bool = False
    """Continue from the last checkpoint in `out`."""
    tracker: Tracker = "tensorboard"
    """Where metrics go besides metrics.jsonl: TensorBoard files in the run folder, wandb (an extra:
    pip install 'rewardkit[wandb]'), or none."""
