"""Write a config as TOML that `--config` reads back to the same config (the standard library only reads)."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any


def to_toml(config: Any) -> str:
    """Write a dataclass as TOML: mappings as tables, None as "None"."""
    return _table(dataclasses.asdict(config), "")


def _table(table: dict[str, Any], path: str) -> str:
    """Write plain values first: in TOML everything after a table's header belongs to that table."""
    lines, below = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            name = f"{path}.{_key(key)}" if path else _key(key)
            below.append(f"\n[{name}]\n{_table(value, name)}")
        else:
            lines.append(f"{_key(key)} = {_value(value)}\n")
    return "".join([*lines, *below])


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _string(key)


def _string(text: str) -> str:
    """Escape as JSON does; TOML has the same escapes, but also forbids an unescaped DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return '"None"'
        case int():
            return str(value)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case str() | Path():
            return _string(str(value))
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(_value(part) for part in value)}]"
    raise TypeError(f"a config cannot hold {type(value).__name__}: {value!r}")
