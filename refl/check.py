"""Checks of the options of `rewardkit refl`."""

from refl.config import ReflConfig
from refl.objectives.objective import new_objective
from rewardkit.errors import UserError
from rewardkit.training.device import pick_device
from rewardkit.training.tracker import installed


def check(config: ReflConfig) -> None:
    """Refuse invalid options, before anything is loaded."""
    installed(config.tracker)
    positive = ("updates", "batch_size", "steps", "save_every", "guard_every", "patience")
    for name in positive:
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    if not 0 <= config.ema < 1:
        raise UserError(f"ema must be at least 0 and below 1; got {config.ema}")
    objective = new_objective(config)
    objective.check(config.steps, config.batch_size, config.tune_text)
    if config.balance and not objective.differentiates:
        raise UserError(f"balance weighs gradients of rewards, and {config.objective} uses none; leave --balance out")
    if config.tune_text and not config.text_encoders:
        raise UserError("tune_text trains the text encoders, so they must stay in memory; leave --no-text-encoders out")
    check_devices(config)
    if config.judges and config.guard_images < 2:
        raise UserError(f"guard_images must be 2 or more, for an interval; got {config.guard_images}")


def check_devices(config: ReflConfig) -> None:
    """Refuse a device that does not exist."""
    for name in filter(None, (config.device, config.reward_device)):
        pick_device(name)
