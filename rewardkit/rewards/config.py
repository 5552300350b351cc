"""Options of `rewardkit score`."""

from dataclasses import dataclass, field
from pathlib import Path

from rewardkit.training.device import DTypeName


@dataclass(frozen=True)
class ScoreConfig:
    """Score images against their prompts and print a table. Unreadable images are reported at the end (exit code 2)."""

    images: tuple[Path, ...]
    """Image files, or folders of them."""
    rewards: tuple[str, ...]
    """Rewards by name, folder or "module:Class"."""
    prompt: tuple[str, ...] = ()
    """Prompt of every image; with several, each image is scored under each. By default folders provide their own."""
    prompts: Path | None = None
    """Prompt file for a folder without a prompts.jsonl."""
    column: str | None = None
    """Column of the prompt file that has the prompts, if not prompt, caption or text."""
    calibration: dict[str, Path] = field(default_factory=dict)
    """Show a reward on the 1-5 scale: its name and a file written by `rewardkit calibrate`."""
    out: Path | None = None
    """Also write the scores here: .jsonl or .csv."""
    batch_size: int = 16
    """Images scored at once."""
    device: str = "auto"
    """Device of the rewards: auto (the GPU if there is one), cpu, cuda, cuda:1 or mps."""
    dtype: DTypeName = "auto"
    """Precision in which the rewards compute: auto is bfloat16 on a GPU, float32 on a CPU."""
