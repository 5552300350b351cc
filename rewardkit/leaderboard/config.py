"""Options of `rewardkit leaderboard`."""

from dataclasses import dataclass, field
from pathlib import Path

from rewardkit.training.device import DTypeName


@dataclass(frozen=True)
class LeaderboardConfig:
    """Read or generate the images of every entry, score and compare them, and write the report."""

    entry: tuple[str, ...]
    """NAME=FOLDER of images, or NAME=MODEL or NAME=MODEL+LORA to generate. Repeatable; the first is the baseline."""
    judges: tuple[str, ...] = ("ocr", "colourfulness")
    """Rewards that no entry was trained with. They decide the ranking."""
    rewards: tuple[str, ...] = ()
    """Rewards that an entry was trained with, shown separately."""
    calibration: dict[str, Path] = field(default_factory=dict)
    """Show a reward on the 1-5 scale: its name and a file written by `rewardkit calibrate`."""
    prompts: Path | None = None
    """Prompt file for models, and for folders without a prompts.jsonl."""
    column: str | None = None
    """Column of the prompt file that has the prompts, if not prompt, caption or text."""
    out: Path = Path("runs/leaderboard")
    """Folder for leaderboard.html, .json, .md and scores.jsonl."""
    title: str = "Leaderboard"
    """Title of the page."""
    limit: int = 0
    """Compare only this many prompts from the start; 0 means all."""
    gallery: int = 12
    """Number of prompts shown with their images."""
    thumbnail: int = 320
    """Longest side of an image on the page, in pixels."""
    steps: int = 10
    """Sampling steps of models."""
    guidance: float = 1.0
    """Guidance scale of models."""
    seed: int = 0
    """Random seed of the noise, the same for all models."""
    batch_size: int = 16
    """Images generated or scored at once."""
    device: str = "auto"
    """Device of models and rewards: auto (the GPU where there is one), cpu, cuda, cuda:1 or mps."""
    dtype: DTypeName = "auto"
    """Precision of models that generate or score: auto is bfloat16 on a GPU, float32 on a CPU."""
