"""Write TOML; reading it is `tomllib`, of the standard library."""

from __future__ import annotations

import datetime
import enum
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["dumps"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def dumps(data: Mapping[str, Any], *, describe: Mapping[str, str] | None = None) -> str:
    """Write nested tables as TOML.

    Parameters
    ----------
    data : mapping
        Tables, lists, strings, numbers, booleans, dates, paths, enums; a None is left out.
    describe : mapping of str to str, optional
        Dotted key to a comment for the line above it.

    Returns
    -------
    str
        A TOML document.

    Raises
    ------
    TypeError
        If a value has no counterpart in TOML.
    """
    return "\n".join(_table(data, (), describe or {})).strip("\n") + "\n"


def _table(data: Mapping[str, Any], path: tuple[str, ...], describe: Mapping[str, str]) -> Iterator[str]:
    given = {str(key): value for key, value in data.items() if value is not None}
    tables = {key: value for key, value in given.items() if isinstance(value, Mapping)}
    for key, value in given.items():
        if key not in tables:
            yield from _comment((*path, key), describe)
            yield f"{_key(key)} = {_value(value)}"
    for key, value in tables.items():
        inner = (*path, key)
        yield ""
        yield from _comment(inner, describe)
        yield f"[{'.'.join(map(_key, inner))}]"
        yield from _table(value, inner, describe)


def _comment(path: tuple[str, ...], describe: Mapping[str, str]) -> Iterator[str]:
    text = describe.get(".".join(path))
    if text:
        printable = "".join(letter if letter.isprintable() else " " for letter in text)
        yield f"# {' '.join(printable.split())}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return _value(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, Path)):
        return _string(str(value))
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, (set, frozenset)):
        return _value(sorted(value))
    raise TypeError(f"no TOML for {type(value).__name__}: {value!r}")
