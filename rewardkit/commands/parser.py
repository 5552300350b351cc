"""The flags of a config, as `argparse` takes them: one for each field, in sections, explained by their docstrings."""

import argparse
import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, NoReturn, get_args, get_origin

from rewardkit.commands.option_groups import explanations, hints, option_groups
from rewardkit.commands.values import metavar, optional, shown
from rewardkit.errors import UserError


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of leaving with a usage."""

    def error(self, message: str) -> NoReturn:
        said = message.removeprefix("argument ")
        option, _, wrong = said.partition(": ")
        dash = f"; a value that begins with a dash is given as {option}=VALUE" if wrong.startswith("expected") else ""
        raise UserError(f"{said}{dash}")


def parser(kind: Any, prog: str, description: str) -> Parser:
    """Flags for the fields of a config; what is not typed is not in the namespace. Values stay words."""
    made = Parser(
        prog=prog, description=description, usage=f"{prog} [-h] [OPTIONS]", allow_abbrev=False,
        argument_default=argparse.SUPPRESS, formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    made.add_argument(
        "--config", action="append", default=[], metavar="FILE.toml",
        help="TOML file of options, one key per option; may be given several times",
    )  # fmt: skip
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
        said = f"{explained.get(field.name, '')} {default_of(field)}".strip().replace("%", "%%")
        yield group.add_argument(flag(field.name), dest=field.name, help=said, **taken(types[field.name]))


def taken(hint: Any) -> dict[str, Any]:
    """How many words a flag takes, and which."""
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
    """What an option is when it is left out."""
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
