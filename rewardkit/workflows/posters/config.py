"""Options of `rewardkit posters`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rewardkit.posters.names import Style
from rewardkit.training.device import DTypeName


@dataclass(frozen=True)
class PostersConfig:
    """Make images, prompts or preference pairs of posters; print how many were written and skipped."""

    out: Path
    """Folder to write."""
    kind: Literal["images", "prompts", "pairs"] = "images"
    """images: correct renderings and metadata.jsonl; prompts: train.jsonl and held_out.jsonl; pairs: pairs.jsonl."""
    count: int = 1000
    """How many to make."""
    languages: tuple[str, ...] = ("en",)
    """Languages of the prompts: en, zh, ko."""
    style: Style = "long"
    """Complete descriptions (long), a few words as users write them (short), or both (mixed)."""
    text_share: float = 0.75
    """Fraction of the prompts that ask for text."""
    size: int = 64
    """Width and height of an image in pixels."""
    fonts: Path | None = None
    """Folder of fonts for the Latin text of renderings; by default a built-in bold font."""
    held_out: float = 0.2
    """prompts: fraction that goes to held_out.jsonl. No scene and no prompt is in both files."""
    base: str | None = None
    """pairs: a base model (seedling, a diffusers folder, a hub id) that generates some of the images."""
    base_share: float = 0.5
    """pairs: fraction that the base generates, two samples per prompt."""
    steps: int = 16
    """pairs: sampling steps of the base."""
    guidance: float = 1.0
    """pairs: guidance scale of the base; 1 means none."""
    exclude: tuple[Path, ...] = ()
    """pairs: files of pairs whose prompts are excluded, so that a held-out set shares no prompt with training."""
    batch_size: int = 32
    """Images generated or scored at once."""
    device: str = "auto"
    """Device of the base: auto (the GPU where there is one), cpu, cuda, cuda:1 or mps."""
    dtype: DTypeName = "auto"
    """Precision of the base: auto is bfloat16 on a GPU, float32 on a CPU."""
    seed: int = 0
    """Random seed; the same seed gives the same data."""
