"""A command's options from Python: keyword arguments become its config dataclass."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rewardkit.commands.checks import check
from rewardkit.errors import UserError, did_you_mean

T = TypeVar("T")


def config_of(name: str, kind: type[T], options: Mapping[str, Any]) -> T:
    """Build the config of a command, and check it as the command line is checked.

    A string becomes a path, an integer a float and a list a tuple where the field is one.
    Raises `UserError` for an option that the config does not have, with the near one, and as `check` does.
    """
    hints = get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            raise UserError(f"there is no option {option!r}; {did_you_mean(option, known)}")
    config = kind(**{option: as_hinted(value, hints[option]) for option, value in options.items()})
    check(name, config)
    return config


def as_hinted(value: Any, hint: Any) -> Any:
    """A value as its field has it."""
    if isinstance(value, str) and Path in (hint, *get_args(hint)) and str not in get_args(hint):
        return Path(value)
    if isinstance(value, int) and not isinstance(value, bool) and float in (hint, *get_args(hint)):
        return float(value)
    return tuple(value) if isinstance(value, list) and get_origin(hint) is tuple else value
