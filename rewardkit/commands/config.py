"""A command's options: a frozen dataclass, filled from TOML files and from flags that override them.

The words after a flag are parsed to the value that TOML would have, so both are checked by the same code.
"""

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rewardkit.commands.option_groups import hints
from rewardkit.commands.parser import flag, flags, is_required, parser
from rewardkit.commands.renamed import suggestion
from rewardkit.commands.values import described, spoken, typed
from rewardkit.errors import UserError

T = TypeVar("T")


def parse(kind: type[T], words: Sequence[str], *, prog: str, description: str) -> T:
    """Build a config from command-line words; `--config FILE.toml` may occur anywhere, more than once.

    Raises `UserError` for unreadable, unknown (with the closest name), mistyped or missing options;
    exits through `SystemExit` for `--help`.
    """
    try:
        given, others = parser(kind, prog, description).parse_known_args([dashed(word) for word in words])
        refuse(others, kind)
        flags_given = vars(given)
        values: dict[str, Any] = {}
        for file in flags_given.pop("config"):
            values |= from_file(read_toml(Path(file)), kind, file)
        types = hints(kind)
        for name, value in flags_given.items():
            values[name] = checked(spoken(value, types[name]), types[name], flag(name), value)
        refuse_missing(kind, values)
    except UserError as error:
        raise UserError(f"{error} (see {prog} --help)") from error
    return kind(**values)


def dashed(word: str) -> str:
    """Replace underscores by dashes in a flag; return other words unchanged."""
    name, equals, value = word.partition("=")
    return f"{name.replace('_', '-')}{equals}{value}" if word.startswith("--") else word


def refuse(others: Sequence[str], kind: Any) -> None:
    """Refuse unexpected words: first an unknown flag, then a stray value."""
    for word in others:
        if word.startswith("-"):
            name = word.partition("=")[0].lstrip("-")
            raise UserError(f"unknown option --{name}; {suggestion(name, flags(kind))}")
    if others:
        raise UserError(f"unexpected {others[0]!r}; write every value after its option, like --out runs/a")


def refuse_missing(kind: Any, values: Mapping[str, Any]) -> None:
    """Refuse a config without its required options."""
    required = [field.name for field in dataclasses.fields(kind) if is_required(field)]
    missing = [flag(name) for name in required if name not in values]
    if missing:
        raise UserError(f"missing {', '.join(missing)}")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise `UserError` naming it if it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no config file at {path}; check the path after --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise UserError(f"cannot read config file {path}: {error}") from error


def from_file(table: Mapping[str, Any], kind: Any, file: str) -> dict[str, Any]:
    """The fields in a TOML table; raise `UserError` for an unknown key or a wrong type, naming file and key."""
    known, values = hints(kind), {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UserError(f"{file}: unknown key {key!r}; {suggestion(name, known, dashes='')}")
        values[name] = checked(value, known[name], f"{file}: {key}", value)
    return values


def checked(value: Any, hint: Any, where: str, typed_value: Any) -> Any:
    """The value of a field; raise `UserError` if it has the wrong type."""
    try:
        return typed(value, hint)
    except ValueError:
        raise UserError(f"{where} must be {described(hint)}; got {typed_value!r}") from None
