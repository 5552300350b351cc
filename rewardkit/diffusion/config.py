"""Options of `rewardkit generate`, and names of options shared with other commands; imports no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rewardkit.training.device import DTypeName

Saving = Literal["none", "decoder", "all"]
"""Where activations are recomputed to save memory: nowhere, in the image decoder, or also in the denoiser."""


@dataclass(frozen=True)
class GenerateConfig:
    """Generate one image per prompt. Every batch is written as soon as it is done."""

    out: Path
    """Folder to write to: 00000.png, ..., prompts.jsonl and the contact sheet grid.png."""
    prompts: Path | None = None
    """Prompts: .txt (one per line), .jsonl, .json, .yaml, .csv, .tsv or .parquet, or a folder of .txt files."""
    prompt: tuple[str, ...] = ()
    """Prompts on the command line, instead of a file."""
    column: str | None = None
    """Column of the prompt file that has the prompts, if not prompt, caption or text."""
    base: str = "seedling"
    """The model: "seedling", a folder in diffusers format, or a hub id."""
    lora: tuple[Path, ...] = ()
    """LoRAs to load: .safetensors files or folders, such as the `lora` folder of a refl run; PATH:0.8 gives a scale."""
    steps: int = 10
    """Sampling steps from noise to image."""
    guidance: float = 1.0
    """Classifier-free guidance scale; 1 means none."""
    seed: int = 0
    """Random seed; the noise of image i depends only on this seed and on i."""
    size: int = 0
    """Height and width in pixels; 0 uses the default of the base."""
    batch_size: int = 16
    """Images generated at once."""
    device: str = "auto"
    """Device: auto (the GPU if there is one), cpu, cuda, cuda:1 or mps."""
    dtype: DTypeName = "auto"
    """Precision of the base: auto is bfloat16 on a GPU, float32 on a CPU."""
