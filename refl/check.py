"""Which options of `rewardkit refl` make no run, and what an option left out stands for."""

import torch

from refl.config import ReflConfig
from refl.objectives.chain import bounds
from refl.objectives.flow_grpo import begin
from refl.objectives.table import COMPARING, KL, WINDOWS
from rewardkit.errors import UserError, first_line


def window(config: ReflConfig) -> tuple[float, float]:
    """The window given, or the objective's own."""
    return config.window or WINDOWS.get(config.objective, (0.0, 1.0))


def kl(config: ReflConfig) -> float:
    """The weight given, or the objective's own."""
    return KL.get(config.objective, 1.0) if config.kl is None else config.kl


def check(config: ReflConfig) -> None:
    """Refuse numbers that make no run, before anything is loaded."""
    positive = ("updates", "batch_size", "steps", "save_every", "noises", "guard_every", "patience")
    for name in positive:
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    if not 0 <= config.ema < 1:
        raise UserError(f"ema must be at least 0 and below 1; got {config.ema}")
    bounds(config.steps, window(config))
    check_objective(config)
    if config.tune_text and not config.text_encoders:
        raise UserError("tune_text trains the text encoders, so they must stay; leave --no-text-encoders out")
    check_devices(config)
    if config.judges and config.guard_images < 2:
        raise UserError(f"guard_images must be 2 or more, for an interval; got {config.guard_images}")


def check_devices(config: ReflConfig) -> None:
    """Refuse a device that is not there."""
    for option in ("device", "reward_device"):
        name = getattr(config, option)
        try:
            torch.empty(0, device=name or "cpu")
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"{option} {name!r} cannot be used ({first_line(error)}); cpu always can") from error


def check_objective(config: ReflConfig) -> None:
    """Refuse what the chosen objective cannot do."""
    if config.objective in ("draft-k", "drtune") and not 1 <= config.grad_steps <= config.steps:
        raise UserError(f"grad_steps must be between 1 and {config.steps}, the sampling steps; got {config.grad_steps}")
    if config.objective not in COMPARING:
        return
    if config.group < 2 or config.batch_size % config.group:
        raise UserError(
            f"group must be 2 or more and divide the batch of {config.batch_size}; got {config.group}; "
            f"{config.objective} compares images of one prompt"
        )
    if config.objective == "flow-grpo":
        begin(config.steps, window(config), config.grad_steps, torch.Generator())
    if config.objective == "nft" and config.tune_text:
        raise UserError(
            "nft compares with the policy before, whose reading of the prompts is not kept; leave --tune-text out"
        )
    if config.balance:
        raise UserError(f"balance weighs gradients of rewards, and {config.objective} uses none; leave --balance out")
