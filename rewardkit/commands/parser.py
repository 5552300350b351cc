"""The flags of a config for `argparse`: one for each field, in sections, with the fields' docstrings as help."""

import argparse
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, NoReturn, get_args, get_origin

from rewardkit.commands.option_groups import explanations, hints, option_groups
from rewardkit.commands.values import metavar, optional, shown
from rewardkit.errors import UserError


class Parser(argparse.ArgumentParser):
    """Raises a one-line error instead of printing the usage and exiting."""

    def error(self, message: str) -> NoReturn:
        problem = message.removeprefix("argument ")
        option, _, wrong = problem.partition(": ")
        dash = f"; write a value that begins with a dash as {option}=VALUE" if wrong.startswith("expected") else ""
        raise UserError(f"{problem}{dash}")


def parser(kind: Any, prog: str, description: str) -> Parser:
    """Flags for the fields of a config; missing flags are not in the namespace. Values remain strings."""
    made = Parser(
        prog=prog,
        description=description,
        usage=f"{prog} [-h] [OPTIONS]",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FILE.toml",
        help="TOML file of options, one key per option; may be given several times",
    )
    add_fields(made, kind)
    return made


def add_fields(made: argparse.ArgumentParser, kind: Any) -> list[argparse.Action]:
    """Add a flag for every field of a config, in its sections."""
    sections = option_groups(kind)
    if not sections:
        return [*add_section(made, kind)]
    return [
        action
        for heading, section in sections.items()
        for action in add_section(made.add_argument_group(f"{heading} options", inspect.getdoc(section)), section)
    ]


def add_section(group: Any, kind: Any) -> Iterator[argparse.Action]:
    """Add a flag for every field of a section."""
    types, explained = hints(kind), explanations(kind)
    for field in dataclasses.fields(kind):
        text = f"{explained.get(field.name, '')} {default_of(field)}".strip().replace("%", "%%")
        yield group.add_argument(flag(field.name), dest=field.name, help=text, **taken(types[field.name]))


def taken(hint: Any) -> dict[str, Any]:
    """Number of words and choices of a flag."""
    hint, _ = optional(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    if origin is tuple and Ellipsis not in inner:
        return {"nargs": len(inner), "metavar": metavar(hint)}
    if origin in (tuple, dict):
        return {"nargs": "*", "action": "extend", "metavar": metavar(hint)}
    return {"metavar": metavar(hint)}


def default_of(field: dataclasses.Field[Any]) -> str:
    """The default of an option, for --help."""
    if is_required(field):
        return "(required)"
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return f"(default: {shown(default)})" if shown(default) else ""


def is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def flags(kind: Any) -> Iterator[str]:
    """Every flag of a config, without its dashes."""
    yield from ("help", "config")
    for name, hint in hints(kind).items():
        yield flag(name)[2:]
        if hint is bool:
            yield f"no-{flag(name)[2:]}"
