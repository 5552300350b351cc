"""A command of many options shows them in sections: its config inherits from a dataclass a section.

Fields, flags and TOML keys stay flat; only `--help` is set out by section. A section's heading is its class's name, the
docstring the line below. Dataclasses take fields from the last base first, so the bases are listed from last to first.
"""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints

import docstring_parser
import tyro


def option_groups(kind: Any) -> Mapping[str, Any]:
    """Heading and class of every section, in the order of the fields; none for a plain config."""
    return {base.__name__.lower(): base for base in reversed(kind.__bases__) if hasattr(base, "__dataclass_fields__")}


def grouped(kind: Any) -> Any:
    """A config that nests the sections of `kind`: tyro makes headings of them, and flags with a prefix unless told."""
    nested = [
        (name, Annotated[explained(section), tyro.conf.arg(help=inspect.getdoc(section))])
        for name, section in option_groups(kind).items()
    ]
    return dataclasses.make_dataclass(kind.__name__, nested)


def explained(kind: Any) -> Any:
    """The same options with the words below each field as its help; tyro by itself keeps their line breaks."""
    words = {one.arg_name: one.description for one in docstring_parser.parse_from_object(kind).params}
    hints = get_type_hints(kind, include_extras=True)
    fields = []
    for field in dataclasses.fields(kind):
        help_text = " ".join((words.get(field.name) or "").split())
        hint = Annotated[hints[field.name], tyro.conf.arg(help=help_text)] if help_text else hints[field.name]
        fields.append((field.name, hint, copy(field)))
    return dataclasses.make_dataclass(kind.__name__, fields, frozen=True, kw_only=True)


def copy(field: dataclasses.Field[Any]) -> Any:
    """A field with the same default; a field object itself belongs to one class."""
    return dataclasses.field(default=field.default, default_factory=field.default_factory)  # type: ignore[call-overload]


def flat(kind: Any, parsed: Any) -> Any:
    """Put the sections that were parsed back into one config."""
    parts = [getattr(parsed, name) for name in option_groups(kind)]
    return kind(**{field.name: getattr(part, field.name) for part in parts for field in dataclasses.fields(part)})
