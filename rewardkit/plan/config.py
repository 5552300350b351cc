"""Options of `rewardkit plan`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rewardkit.diffusion.config import Saving


@dataclass(frozen=True)
class PlanConfig:
    """Estimate what a ReFL run needs, without loading weights: memory by phase, time, and what to change."""

    base: str = "sd3.5-medium"
    """A known size (sd3.5-medium, sd3.5-large, flux.1-dev, qwen-image, pixart-sigma, sana, lumina2, hunyuanimage-2.1,
    z-image, seedling), a folder in diffusers format, or a hub id, of which only configuration files are read."""
    rewards: tuple[str, ...] = ("ViT-L-14",)
    """Backbones of the rewards, one pass each: any open_clip name, seedling, or clipscore, pickscore, hpsv2,
    laion."""
    size: int = 0
    """Height and width in pixels; 0 uses the default of the base."""
    batch_size: int = 1
    """Images per update."""
    updates: int = 150
    """Number of updates, for the total time."""
    steps: int = 28
    """Sampling steps from noise to image; steps without a gradient are counted as prefix."""
    grad_steps: int = 1
    """Number of steps with a gradient."""
    guidance: float = 1.0
    """Classifier-free guidance scale while sampling; 1 means none."""
    window_guidance: Literal["off", "detached", "graph"] = "detached"
    """Guidance in the steps with a gradient: none (off), a gradient through the conditional branch only (detached), or
    through both branches (graph)."""
    rank: int = 16
    """Rank of the LoRA."""
    target_modules: tuple[str, ...] = ()
    """Layers that get a LoRA; by default those usual for the base."""
    ema: bool = True
    """Keep a moving average of the LoRA weights."""
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Precision of the base. The LoRA, the decoder and the rewards stay in float32."""
    save_memory: Saving = "none"
    """Gradient checkpointing: in the decoder, or in the decoder and the denoiser (all)."""
    text_encoders: bool = True
    """Count the text encoders as kept in GPU memory; turn it off if prompts are encoded first."""
    prompt_tokens: int = 256
    """Tokens per prompt, if the base does not pad to a fixed length."""
    card: str = "rtx-4090"
    """GPU to plan for: rtx-3090, rtx-4090, rtx-5090, l4, a10, l40s, a100-40gb, a100-80gb, h100, h200."""
    memory: float = 0.0
    """Memory limit in GiB; 0 uses that of the card."""
    share: float = 0.4
    """Assumed fraction of the peak FLOP/s of the card that is reached; measure yours."""
    out: Path | None = None
    """JSON file for the full plan."""
