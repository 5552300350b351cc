"""Completion of commands, options and their choices by the TAB key, as a script for a shell."""

from pkgutil import resolve_name
from typing import Any

import shtab

from rewardkit.commands.parser import Parser, add_fields
from rewardkit.commands.table import COMMANDS
from rewardkit.errors import UserError


def completion(shell: str) -> str:
    """A script for a shell to source; raises `UserError` for a shell that is not known."""
    if shell not in shtab.SUPPORTED_SHELLS:
        raise UserError(f"no completion for {shell!r}; known: {', '.join(shtab.SUPPORTED_SHELLS)}")
    root = Parser(prog="rewardkit")
    groups: dict[str, Any] = {"": root.add_subparsers()}
    for name, command in COMMANDS.items():
        group, _, word = name.rpartition(" ")
        if group not in groups:
            groups[group] = groups[""].add_parser(group, help=f"{group} commands").add_subparsers()
        child = groups[group].add_parser(word, help=command.about)
        for action in [
            child.add_argument("--config", metavar="PATH"),
            *add_fields(child, resolve_name(command.options)),
        ]:
            if action.metavar == "PATH":
                action.complete = shtab.FILE
    return str(shtab.complete(root, shell))
