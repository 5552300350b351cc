"""Values of options: conversion of TOML values and command-line words to a field's type."""

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

SCALARS: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "an integer"),
    float: ((int, float), "a number"),
    str: ((str,), "a string"),
    Path: ((str,), "a path (a string)"),
}
"""Type of a field -> its types in TOML, and their name."""


def optional(hint: Any) -> tuple[Any, bool]:
    """The type of a field, and whether it may also be None."""
    if get_origin(hint) in (Union, types.UnionType):
        inner = [option for option in get_args(hint) if option is not type(None)]
        return inner[0], len(inner) < len(get_args(hint))
    return hint, False


def typed(value: Any, hint: Any) -> Any:
    """Convert a TOML value to a field's type: lists to tuples, integers to floats, strings to paths.

    TOML has no null: the string "none" means None if the field may be None. Raises `ValueError` for the wrong type.
    """
    hint, may_be_none = optional(hint)
    if may_be_none and isinstance(value, str) and value.lower() == "none":
        return None
    origin, inner = get_origin(hint), get_args(hint)
    if origin is dict and isinstance(value, dict):
        return {key: typed(part, inner[1]) for key, part in value.items()}
    if origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if Ellipsis in inner else inner
        return tuple(typed(part, kind) for part, kind in zip(value, kinds, strict=True))
    if (origin is Literal and value in inner) or (hint in SCALARS and type(value) in SCALARS[hint][0]):
        return value if origin is Literal else hint(value)
    raise ValueError(f"{value!r} is not {described(hint)}")


def spoken(words: Any, hint: Any) -> Any:
    """The TOML value of the words after a flag; other words remain strings, which `typed` refuses."""
    hint, _ = optional(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple:
        return [spoken(word, inner[0]) for word in words]
    if origin is dict:
        pairs = zip(words[::2], words[1::2], strict=False)
        return {key: spoken(word, inner[1]) for key, word in pairs} if len(words) % 2 == 0 else words
    if hint in (int, float):
        return number(words, hint)
    return words


def number(word: str, kind: type[int] | type[float]) -> Any:
    try:
        return kind(word)
    except ValueError:
        return word


def described(hint: Any) -> str:
    """Describe a type in terms of TOML."""
    hint, may_be_none = optional(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        text = "one of " + ", ".join(repr(option) for option in inner)
    elif origin is dict:
        text = f"a table of {described(inner[1])} (NAME VALUE pairs on the command line)"
    elif origin is tuple:
        text = "a list of " + ", ".join(described(option) for option in inner if option is not Ellipsis)
    else:
        text = SCALARS[hint][1]
    return text + ' or "None"' * may_be_none


def metavar(hint: Any) -> str:
    """Describe a type for --help."""
    hint, _ = optional(hint)
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"{{{','.join(inner)}}}"
    if origin is dict:
        return f"NAME {metavar(inner[1])}"
    if origin is tuple:
        return metavar(inner[0])
    return str(hint.__name__).upper()


def shown(default: Any) -> str:
    """A default as it is typed; empty if it cannot be typed."""
    if isinstance(default, dict):
        return shown([part for pair in default.items() for part in pair])
    if isinstance(default, Sequence) and not isinstance(default, str):
        return " ".join(map(str, default))
    return "" if default is None else str(default)
