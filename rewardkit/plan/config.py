"""Options of `rewardkit plan`, and which numbers make no plan."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rewardkit.diffusion.checkpointing import Saving
from rewardkit.errors import UserError, did_you_mean
from rewardkit.plan.cards import CARDS


@dataclass(frozen=True)
class PlanConfig:
    """Options of `rewardkit plan`; those that a run has too mean the same there."""

    base: str = "sd3.5-medium"
    """A known size (sd3.5-medium, sd3.5-large, flux.1-dev, qwen-image, pixart-sigma, sana, lumina2, hunyuanimage-2.1,
    z-image, seedling), a folder in diffusers format, or a hub id, of which only configuration files are read."""
    rewards: tuple[str, ...] = ("ViT-L-14",)
    """Backbones of the rewards, each run by itself: any open_clip name, seedling, or clipscore, pickscore, hpsv2,
    laion."""
    size: int = 0
    """Height and width in pixels; the base's own where 0."""
    batch_size: int = 1
    """Images an update."""
    steps: int = 150
    """Updates, for the time of the whole run."""
    sampling_steps: int = 28
    """Steps from noise to image; all that carry no graph are counted as prefix."""
    grad_steps: int = 1
    """Steps that carry a graph."""
    guidance: float = 1.0
    """Classifier-free guidance while sampling; 1 is none."""
    window_guidance: Literal["off", "detached", "graph"] = "detached"
    """Guidance where the graph is: off, a gradient through its conditional branch alone, or through both."""
    rank: int = 16
    """Rank of the LoRA."""
    target_modules: tuple[str, ...] = ()
    """Layers the LoRA goes to; those usual for the base where not given."""
    ema: bool = True
    """Keep an average of the LoRA's weights."""
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Precision of the base; the LoRA, the decoder and the rewards stay in float32."""
    save_memory: Saving = "none"
    """Keep less for the way back and compute it again: in the decoder, or in decoder and denoiser (all)."""
    text_encoders: bool = True
    """Count the text encoders as held on the card; no where prompts are encoded beforehand."""
    prompt_tokens: int = 256
    """Tokens of a prompt, where the base does not pad to a length of its own."""
    card: str = "rtx-4090"
    """Card to plan for: rtx-3090, rtx-4090, rtx-5090, l4, a10, l40s, a100-40gb, a100-80gb, h100, h200."""
    memory: float = 0.0
    """GiB to fit into; the card's where 0."""
    share: float = 0.4
    """Share of the card's peak FLOP/s that is reached: an assumption, measure yours."""
    out: Path | None = None
    """FILE.json to write everything to."""


def check(config: PlanConfig) -> None:
    """Refuse numbers that make no run."""
    for name in ("batch_size", "steps", "sampling_steps", "grad_steps", "rank", "prompt_tokens"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    if config.grad_steps > config.sampling_steps:
        raise UserError(
            f"grad_steps must be at most {config.sampling_steps}, the sampling steps; got {config.grad_steps}"
        )
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
