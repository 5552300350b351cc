"""Allowed ranges of numeric options, the same for an option's name in every command; all must be finite."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from rewardkit.errors import UserError

INFINITE = math.inf

RANGES: dict[str, tuple[int | float, int | float]] = {
    **dict.fromkeys(
        (
            "accumulate",
            "base_updates",
            "bins",
            "candidates",
            "clip_updates",
            "crops",
            "drawn",
            "draws",
            "grad_steps",
            "guard_every",
            "held_out_pairs",
            "n",
            "noises",
            "pairs",
            "patience",
            "prompt_tokens",
            "rewriter_updates",
            "rounds",
            "save_every",
            "short_prompts",
            "updates",
            "vae_updates",
            "views",
            "max_length",
            "max_new_tokens",
            "measured",
        ),
        (1, 10**9),
    ),
    **dict.fromkeys(("count", "posters"), (1, 10**8)),
    **dict.fromkeys(
        (
            "alpha",
            "augment",
            "beta",
            "encoder_lr",
            "gamma",
            "grid_every",
            "guidance",
            "kl",
            "lora_rank",
            "margin",
            "memory",
            "min_change",
            "pretrain_weight",
            "save_every_epochs",
            "threshold",
            "warmup",
            "weight_decay",
            "gallery",
        ),
        (0, 10**9),
    ),
    **dict.fromkeys(
        ("base_share", "max_bad", "mismatch", "share", "text_share", "tie_probability", "warmup_share"), (0, 1)
    ),
    "batch_size": (1, 10**6),
    "guard_images": (2, 10**6),
    "limit": (0, 10**9),
    "members": (1, 64),
    "rank": (1, 4096),
    "size": (0, 8192),
    "steps": (1, 10**4),
    "thumbnail": (16, 4096),
}
"""Option -> its least and its greatest value."""

ABOVE_ZERO = ("clip", "epochs", "lr")
BELOW_ONE = ("ema",)
"""At least 0 and below 1, because with 1 the average would never change."""


def check_numbers(options: Any) -> None:
    """Raise `UserError` for the first number of a command's options that is out of range."""
    for field in dataclasses.fields(options):
        for where, number in numbers(field.name, getattr(options, field.name)):
            complain(field.name, where, number)


def numbers(name: str, value: Any) -> Iterator[tuple[str, int | float]]:
    """Yield the numbers of an option with their names: `--window`, or `--weights text` in a mapping."""
    option = f"--{name.replace('_', '-')}"
    if isinstance(value, Mapping):
        yield from ((f"{option} {key}", one) for key, one in value.items() if is_number(one))
    elif isinstance(value, tuple):
        yield from ((option, one) for one in value if is_number(one))
    elif is_number(value):
        yield option, value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def complain(name: str, where: str, number: int | float) -> None:
    """Raise `UserError` if a number is out of its option's range."""
    if not math.isfinite(number):
        raise UserError(f"{where} must be a finite number; got {number}")
    if name in ABOVE_ZERO and number <= 0:
        raise UserError(f"{where} must be above 0; got {number:g}")
    if name in BELOW_ONE and not 0 <= number < 1:
        raise UserError(f"{where} must be at least 0 and below 1; got {number:g}")
    least, most = RANGES.get(name, (-INFINITE, INFINITE))
    if number < least:
        raise UserError(f"{where} must be {least:g} or more; got {number:g}")
    if number > most:
        raise UserError(f"{where} must be {most:,} or less; got {number:g}")
