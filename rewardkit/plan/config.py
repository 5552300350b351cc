"""Options of `rewardkit plan`, and which numbers make no plan."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rewardkit.diffusion.checkpointing import Saving
from rewardkit.errors import UserError, did_you_mean
from rewardkit.plan.cards import CARDS


@dataclass(frozen=True)
class PlanConfig:
    """Options of `rewardkit plan`. Those it shares with `refl` have the same meaning."""

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


def check(config: PlanConfig) -> None:
    """Refuse numbers that make no run."""
    for name in ("batch_size", "updates", "steps", "grad_steps", "rank", "prompt_tokens"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    if config.grad_steps > config.steps:
        raise UserError(f"grad_steps must be at most {config.steps}, the sampling steps; got {config.grad_steps}")
    if not 0 < config.share <= 1:
        raise UserError(f"share must be above 0 and at most 1; got {config.share}")
    if config.memory < 0 or config.size < 0:
        raise UserError("memory and size must not be negative; 0 takes the card's and the base's own")
    check_card(config.card)
    if not config.rewards:
        raise UserError("give at least one backbone after --rewards")


def check_card(card: str) -> None:
    """Refuse a card whose figures are not known."""
    if card not in CARDS:
        raise UserError(f"no card {card!r}; {did_you_mean(card, CARDS)}")
