"""A command's options: a frozen dataclass, filled from TOML files and from flags that override them.

A TOML table is spelled as flags, without those that were typed too, and one parser (tyro) checks both.
What a file says wrongly is found here first, so that the message names the file and the key.
"""

import dataclasses
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tyro

from rewardkit.commands.option_groups import explained, flat, grouped, option_groups
from rewardkit.commands.renamed import suggestion
from rewardkit.errors import UserError

T = TypeVar("T")


def parse(kind: type[T], words: Sequence[str], *, prog: str, description: str) -> T:
    """Build a config from command-line words; `--config FILE.toml` may stand anywhere among them, more than once.

    Raises `UserError` for a file that cannot be read, and for an unknown key or flag (with the near one);
    leaves through `SystemExit` as tyro does for `--help` (0) and for a value it cannot take (2).
    """
    files, typed = _split(words)
    given = typed_options(kind, typed)
    spelled: dict[str, list[str]] = {}
    for file in files:
        spelled |= flags(read_toml(file), kind, file)
    from_files = [word for name, said in spelled.items() if name not in given for word in said]
    words = [*from_files, *typed]
    settings: dict[str, Any] = {"args": words, "prog": prog, "description": description}
    if not option_groups(kind):
        plain = tyro.cli(explained(kind), **settings)
        return kind(**{field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)})
    parsed: T = flat(kind, tyro.cli(grouped(kind), **settings, config=(tyro.conf.OmitArgPrefixes,)))
    return parsed


def _split(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Take the `--config` files out of the words."""
    files, rest, queue = [], [], list(words)
    while queue:
        word = queue.pop(0)
        if word == "--config":
            if not queue:
                raise UserError("--config needs a file, like: --config run.toml")
            files.append(Path(queue.pop(0)))
        elif word.startswith("--config="):
            files.append(Path(word.removeprefix("--config=")))
        else:
            rest.append(word)
    return files, rest


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise `UserError` naming it when it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no config file at {path}; check the path after --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise UserError(f"cannot read config file {path}: {error}") from error


def hints(kind: Any) -> dict[str, Any]:
    """Every field of a config and its type, in order; tyro's markers stay in `Annotated`."""
    found = get_type_hints(kind, include_extras=True)
    return {field.name: found[field.name] for field in dataclasses.fields(kind) if field.init}


def options(kind: Any, prefix: str = "") -> Iterator[str]:
    """Name every option of a config as a flag without its dashes, nested ones with a dot: `optim.lr`."""
    for name, hint in hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from options(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}".replace("_", "-")


def typed_options(kind: Any, words: Sequence[str]) -> set[str]:
    """Name the options among command-line words.

    Raises `UserError` at the first that no field has, with the near one: tyro stays silent about it in places.
    """
    known, given = {"help", "config", *options(kind)}, set()
    for word in words:
        if not word.startswith("--") or len(word) == 2:
            continue
        name = word.partition("=")[0].removeprefix("--").replace("_", "-")
        head, _, tail = name.rpartition(".")
        positive = f"{head}.{tail.removeprefix('no-')}".lstrip(".")
        if name not in known and positive not in known:
            raise UserError(f"unknown option --{name}; {suggestion(name, known)}")
        given.add(name if name in known else positive)
    return given


def flags(table: Mapping[str, Any], kind: Any, source: Path, prefix: str = "") -> dict[str, list[str]]:
    """Spell a TOML table as flags, by option; raise `UserError` for an unknown key or a wrong type, naming both."""
    words: dict[str, list[str]] = {}
    known = hints(kind)
    for key, value in table.items():
        field = key.replace("-", "_")
        if field not in known:
            raise UserError(f"{source}: unknown key {prefix + key!r}; {suggestion(field, known, dashes='')}")
        hint = known[field]
        name = f"{prefix}{field}".replace("_", "-")
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            words |= flags(value, hint, source, f"{prefix}{field}.")
        elif fits(value, hint):
            words[name] = _spell(name, None if _says_none(value, hint) else value, source, _appends(hint))
        else:
            raise UserError(f"{source}: {prefix + key} must be {described(hint)}; got {value!r}")
    return words


def _appends(hint: Any) -> bool:
    """Say whether a list's flag is repeated, one item each, instead of taking all items at once."""
    return get_args(tyro.conf.UseAppendAction[int])[1] in get_args(hint)[1:]


def _spell(name: str, value: Any, source: Path, appends: bool) -> list[str]:
    """Spell one value; the `=` keeps a leading dash from looking like a flag."""
    head, _, tail = name.rpartition(".")
    match value:
        case bool():
            return [f"--{name}" if value else f"--{head}{'.' if head else ''}no-{tail}"]
        case list() if appends:
            return [f"--{name}={part}" for part in value]
        case dict():
            items = [str(part) for pair in value.items() for part in pair]
        case list():
            items = [str(part) for part in value]
        case _:
            return [f"--{name}={value}"]
    for item in items:
        if item.startswith("-") and not _is_number(item):
            raise UserError(f"{source}: an item of {name} may not start with a dash; got {item!r}")
    return [f"--{name}", *items]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def fits(value: Any, hint: Any) -> bool:
    """Say whether a TOML value can fill a field of this type; an integer fills a float, a string a path."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any or origin is Annotated:
        return hint is Any or fits(value, inner[0])
    if origin in (Union, types.UnionType):
        return _says_none(value, hint) or any(fits(value, option) for option in inner if option is not type(None))
    if origin is Literal:
        return value in inner
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(fits(part, inner[1]) for part in value.values())
    if origin is not None and issubclass(origin, Sequence | set | frozenset):
        return isinstance(value, list) and _items_fit(value, origin, inner)
    return _scalar_fits(value, hint)


def _says_none(value: Any, hint: Any) -> bool:
    """TOML has no null: the string "none" is one where the field may be None."""
    return isinstance(value, str) and value.lower() == "none" and type(None) in get_args(hint)


def _items_fit(value: list[Any], origin: Any, inner: tuple[Any, ...]) -> bool:
    if origin is tuple and Ellipsis not in inner:
        return len(value) == len(inner) and all(fits(part, hint) for part, hint in zip(value, inner, strict=True))
    return all(fits(part, inner[0]) for part in value)


def _scalar_fits(value: Any, hint: Any) -> bool:
    if isinstance(value, bool):
        return hint is bool
    if isinstance(hint, type) and issubclass(hint, Enum):
        return value in hint.__members__
    kinds: dict[Any, tuple[type, ...]] = {float: (int, float), int: (int,), str: (str,), Path: (str,)}
    return isinstance(value, kinds.get(hint, ()))


def described(hint: Any) -> str:
    """Say a type as a reader of TOML would."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join('"None"' if option is type(None) else described(option) for option in inner)
    if origin is Literal:
        return "one of " + ", ".join(repr(option) for option in inner)
    if origin is Annotated:
        return described(inner[0])
    if origin is not None and issubclass(origin, Mapping):
        return f"a table of {described(inner[1])}"
    if origin is not None:
        return "a list of " + ", ".join(described(option) for option in inner if option is not Ellipsis)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(repr(name) for name in hint.__members__)
    names = {bool: "true or false", int: "an integer", float: "a number", str: "a string", Path: "a path (a string)"}
    return names.get(hint, "a table" if dataclasses.is_dataclass(hint) else str(hint))
