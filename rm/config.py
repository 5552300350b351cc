"""All options of `rewardkit train-rm`, and checks of invalid combinations."""

from dataclasses import dataclass

from rewardkit.errors import UserError
from rewardkit.training.options import Run
from rewardkit.training.tracker import installed
from rm.options import Judgement, Machine, Task, Tower, Updates


# The sections are listed from last to first: see `rewardkit.commands.option_groups`.
@dataclass(frozen=True, kw_only=True)
class RmConfig(Run, Machine, Updates, Judgement, Tower, Task):
    """Train a reward model, print its held-out accuracy, and write it to the sub-folder rm of the run folder."""


def check(config: RmConfig) -> None:
    """Refuse invalid options, before anything is read."""
    installed(config.tracker)
    if not 0 < config.held_out < 1:
        raise UserError(f"held_out must be between 0 and 1, as the best epoch is chosen on it; got {config.held_out}")
    if not 0 < config.tie_probability < 1:
        raise UserError(f"tie_probability must be between 0 and 1; got {config.tie_probability}")
    for name in ("epochs", "batch_size", "accumulate", "views", "patience", "save_every_epochs"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    for axis, count in config.members.items():
        if count < 1:
            raise UserError(f"members must be 1 or more; got {count} for axis {axis!r}")
    check_tower(config)


def check_tower(config: RmConfig) -> None:
    """Refuse options that the encoder does not support."""
    if config.lora_rank < 0:
        raise UserError(f"lora_rank must be 0 (none) or more; got {config.lora_rank}")
    if config.lora_rank and config.unfreeze:
        raise UserError("--lora-rank freezes the tower's own weights and --unfreeze trains them; give only one of them")
    if config.lora_text and not config.lora_rank:
        raise UserError("--lora-text adds to LoRA on the image tower; give --lora-rank N too")
    learns = config.lora_rank or config.unfreeze or config.encoder == "conv"
    if config.augment == "flip" and not learns:
        raise UserError("--augment flip needs an encoder that is trained; add --unfreeze N, or use --augment light")
