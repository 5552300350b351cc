"""Options of `rewardkit calibrate`."""

from dataclasses import dataclass
from pathlib import Path

from rewardkit.training.device import DTypeName


@dataclass(frozen=True)
class CalibrateConfig:
    """Fit a monotone map to the 1-5 scale and a temperature, print their quality on held-out prompts, and save both.

    A figure next to the JSON file shows ratings against scores, and the reliability of the probabilities.
    """

    model: str = ""
    """A reward by name, folder or "module:Class"; not needed with --scores."""
    data: tuple[Path, ...] = ()
    """Rated images: files or folders of a public set with ratings (ImageRewardDB, GenAI-Bench, RichHF-18K)."""
    scores: tuple[Path, ...] = ()
    """Or precomputed scores: .jsonl, one row per prompt with prompt, scores, ratings and optionally axis."""
    low: float = 1.0
    """Lowest value of the rating scale."""
    high: float = 5.0
    """Highest value of the rating scale."""
    out: Path | None = None
    """JSON file to write; by default calibration.json in the folder of the reward model."""
    held_out: float = 0.3
    """Fraction of the prompts held out for the printed results. The saved calibration is then fitted on all."""
    bins: int = 10
    """Bins of the reliability diagram, of equal size."""
    batch_size: int = 64
    """Images per forward pass."""
    max_bad: float = 0.0
    """Largest accepted fraction of unreadable images."""
    device: str = "auto"
    """Device: auto (the GPU where there is one), cpu, cuda or mps."""
    dtype: DTypeName = "auto"
    """Precision in which the reward model computes: auto is bfloat16 on a GPU, float32 on a CPU."""
