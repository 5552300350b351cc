"""A command with many options shows them in sections: its config inherits from one dataclass per section.

Fields, flags and TOML keys are flat; only `--help` is grouped by section. A section's heading is its class's name, with
the docstring below. Dataclasses collect fields from the last base first, so the bases are listed from last to first.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

import docstring_parser


def option_groups(kind: Any) -> Mapping[str, Any]:
    """Heading and class of every section, in the order of the fields; none for a plain config."""
    return {base.__name__.lower(): base for base in reversed(kind.__bases__) if hasattr(base, "__dataclass_fields__")}


def hints(kind: Any) -> dict[str, Any]:
    """Every field of a config and its type, in order."""
    found = get_type_hints(kind)
    return {field.name: found[field.name] for field in dataclasses.fields(kind)}


def explanations(kind: Any) -> dict[str, str]:
    """The docstring of each field of a section, as one line."""
    words = {one.arg_name: one.description for one in docstring_parser.parse_from_object(kind).params}
    return {name: " ".join((text or "").split()) for name, text in words.items()}
