"""Numbers that make no run are refused by name, whatever the command."""

import dataclasses
from pkgutil import resolve_name

import pytest

from rewardkit.commands.ranges import ABOVE_ZERO, BELOW_ONE, RANGES, check_numbers, numbers
from rewardkit.commands.table import COMMANDS
from rewardkit.errors import UserError


def defaults(name: str) -> object:
    """A command's options as far as they have defaults."""
    kind = resolve_name(COMMANDS[name].options)
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return dataclasses.make_dataclass("Options", [(key, object) for key in found])(**found)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_is_allowed(name: str) -> None:
    check_numbers(defaults(name))


def test_every_range_is_of_an_option() -> None:
    options = {field.name for one in COMMANDS.values() for field in dataclasses.fields(resolve_name(one.options))}
    assert {*RANGES, *ABOVE_ZERO, *BELOW_ONE} <= options


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("name", "option", "value", "said"),
    [
        ("refl", "lr", NAN, "--lr must be a finite number; got nan"),
        ("refl", "lr", INF, "--lr must be a finite number; got inf"),
        ("refl", "lr", 0.0, "--lr must be above 0; got 0"),
        ("train-rm", "ema", 2.0, "--ema must be at least 0 and below 1; got 2"),
        ("train-rm", "warmup_share", 5.0, "--warmup-share must be 1 or less; got 5"),
        ("refl", "clip", 0.0, "--clip must be above 0; got 0"),
        ("pe pairs", "limit", -3, "--limit must be 0 or more; got -3"),
        ("refl", "kl", -1.0, "--kl must be 0 or more; got -1"),
        ("refl", "rank", 100_000, "--rank must be 4,096 or less; got 100000"),
        ("generate", "size", 100_000, "--size must be 8,192 or less; got 100000"),
        ("train-rm", "members", {"text": 10**9}, "--members text must be 64 or less"),
        ("refl", "weights", {"text": NAN}, "--weights text must be a finite number"),
        ("refl", "window", (0.2, INF), "--window must be a finite number"),
        ("generate", "steps", 0, "--steps must be 1 or more; got 0"),
    ],
)
def test_what_makes_no_run_is_refused(name: str, option: str, value: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        check_numbers(dataclasses.replace(defaults(name), **{option: value}))  # type: ignore[type-var]


def test_a_switch_is_no_number() -> None:
    assert list(numbers("resume", True)) == []
    assert list(numbers("text", "1")) == []
