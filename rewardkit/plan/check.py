"""Checks of the options of `rewardkit plan`."""

from rewardkit.errors import UserError, did_you_mean
from rewardkit.plan.cards import CARDS
from rewardkit.plan.config import PlanConfig


def check(config: PlanConfig) -> None:
    """Refuse invalid numbers."""
    for name in ("batch_size", "updates", "steps", "grad_steps", "rank", "prompt_tokens"):
        if getattr(config, name) < 1:
            raise UserError(f"{name} must be 1 or more; got {getattr(config, name)}")
    if config.grad_steps > config.steps:
        raise UserError(f"grad_steps must be at most {config.steps}, the sampling steps; got {config.grad_steps}")
    if not 0 < config.share <= 1:
        raise UserError(f"share must be above 0 and at most 1; got {config.share}")
    if config.memory < 0 or config.size < 0:
        raise UserError("memory and size must not be negative; 0 means the card's and the base's default")
    check_card(config.card)
    if not config.rewards:
        raise UserError("give at least one backbone after --rewards")


def check_card(card: str) -> None:
    """Refuse an unknown card."""
    if card not in CARDS:
        raise UserError(f"no card {card!r}; {did_you_mean(card, CARDS)}")
