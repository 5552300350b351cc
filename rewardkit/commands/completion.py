"""TAB completion of commands, options and choices, as a script for a shell."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Literal, get_args, get_origin

import shtab

from rewardkit.commands.option_groups import hints
from rewardkit.commands.parser import Parser, add_fields
from rewardkit.commands.table import COMMANDS
from rewardkit.commands.values import optional
from rewardkit.errors import UserError


def completion(shell: str) -> str:
    """A script for a shell to source; raises `UserError` for an unsupported shell."""
    if shell not in shtab.SUPPORTED_SHELLS:
        raise UserError(f"no completion for {shell!r}; known: {', '.join(shtab.SUPPORTED_SHELLS)}")
    root = Parser(prog="rewardkit")
    groups: dict[str, Any] = {"": root.add_subparsers()}
    for name, command in COMMANDS.items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            groups[group] = groups[""].add_parser(group, help=f"{group} commands").add_subparsers()
        child = groups[group].add_parser(word, help=command.about)
        child.add_argument("--config").complete = shtab.FILE
        complete(child, resolve_name(command.options))
    return str(shtab.complete(root, shell))


def complete(child: Parser, kind: Any) -> None:
    """Add the flags of a config with their values: a file, or one of some choices."""
    types = hints(kind)
    for action in add_fields(child, kind):
        hint, _ = optional(types[action.dest])
        if get_origin(hint) is Literal:
            action.choices = get_args(hint)
        elif Path in (hint, *get_args(hint)):
            action.complete = shtab.FILE  # type: ignore[attr-defined]
