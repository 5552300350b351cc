"""A command of many options shows them in sections: its config inherits from a dataclass a section.

Fields, flags and TOML keys stay flat; only `--help` is set out by section. A section's heading is its class's name, the
docstring the line below. Dataclasses take fields from the last base first, so the bases are listed from last to first.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Annotated, Any

import tyro


def sections(kind: Any) -> Mapping[str, Any]:
    """Heading and class of every section, in the order of the fields; none for a plain config."""
    return {base.__name__.lower(): base for base in reversed(kind.__bases__) if hasattr(base, "__dataclass_fields__")}


def sectioned(kind: Any) -> Any:
    """A config that nests the sections of `kind`: tyro makes headings of them, and flags with a prefix unless told."""
    nested = [
        (name, Annotated[section, tyro.conf.arg(help=inspect.getdoc(section))])
        for name, section in sections(kind).items()
    ]
    return dataclasses.make_dataclass(kind.__name__, nested)


def flat(kind: Any, parsed: Any) -> Any:
    """Put the sections that were parsed back into one config."""
    parts = [getattr(parsed, name) for name in sections(kind)]
    return kind(**{field.name: getattr(part, field.name) for part in parts for field in dataclasses.fields(part)})
