"""What a refused config is told to its user."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from esai_core.errors import UsageError, nearest

__all__ = ["Typed", "explain"]


_PLAIN = {"str", "int", "float", "bool", "none"}


class Typed(str):
    """A string that came from ``--set``: as a path it is taken from the working directory first."""

    __slots__ = ()


def explain(
    error: ValidationError, model: type[BaseModel], where: object, set_keys: Sequence[str]
) -> UsageError:
    """Turn pydantic's errors into one line about the first of them; a mistyped key comes first.

    Parameters
    ----------
    error : ValidationError
        As raised by the validation of `model`.
    model : type
        The config class.
    where : object
        The file, named for keys that were not set on the command line.
    set_keys : sequence of str
        Keys set with ``--set``.

    Returns
    -------
    UsageError
        To be raised by the caller.
    """
    classes = {inner.__name__ for inner in _reachable(model)}
    problems = _meant(error.errors(include_url=False), classes)
    first = problems[0]
    location = [part for part in first["loc"] if not _is_branch(part, classes)]
    key = ".".join(map(str, location))
    if any(key == one or key.startswith(f"{one}.") for one in set_keys):
        where = f"--set {key}"
    others = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        names = _keys_at(model, location[:-1])
        return UsageError(
            f"unknown key {key!r}{others}", where=where, remedy=nearest(str(location[-1]), names)
        )
    if first["type"] == "missing":
        return UsageError(
            f"missing key {key!r}{others}", where=where, remedy=f"add {key} = ... to the config"
        )
    what = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    shown = repr(first["input"] if not isinstance(first["input"], Typed) else str(first["input"]))
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    head = (
        f"{key} = {shown}: " if key and not isinstance(first["input"], Mapping) else f"{key}: " if key else ""
    )
    return UsageError(f"{head}{what[:1].lower()}{what[1:]}{others}", where=where)


def _keys_at(model: type[BaseModel], location: Sequence[int | str]) -> list[str]:
    """List the keys that the table at `location` may have."""
    at: list[Any] = [model]
    for part in location:
        following = [option for one in at for option in _inside(one, part)]
        at = following or at  # the tag of a union is no key of the file
    return [name for one in at for name in one.model_fields]


def _inside(model: type[BaseModel], part: int | str) -> Iterator[type[BaseModel]]:
    field = model.model_fields.get(str(part))
    if field is not None:
        yield from _models(field.annotation)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _reachable(model: type[BaseModel]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    waiting = [model]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += [inner for field in one.model_fields.values() for inner in _models(field.annotation)]
    return found


def _is_branch(part: int | str, classes: set[str]) -> bool:
    """Tell the parts of a location that are no keys: pydantic names the branch of a union that it tried."""
    if not isinstance(part, str):
        return False
    return part in classes or part in _PLAIN or "[" in part or part.startswith("function-")


def _meant(problems: list[Any], classes: set[str]) -> list[Any]:
    """Keep the errors of the branch of a union that was meant; a mistyped key comes first.

    A branch whose literal (``kind = "forest"``) does not fit was not meant, unless none fits: then the
    literal is the mistake.
    """
    branches = [
        tuple(
            problem["loc"][: 1 + max(i for i, part in enumerate(problem["loc"]) if _is_branch(part, classes))]
        )
        if any(_is_branch(part, classes) for part in problem["loc"])
        else ()
        for problem in problems
    ]
    refused = {
        branch
        for branch, problem in zip(branches, problems, strict=True)
        if branch and problem["type"] == "literal_error"
    }
    kept = [problem for branch, problem in zip(branches, problems, strict=True) if branch not in refused]
    if not kept:
        return [problem for problem in problems if problem["type"] == "literal_error"]
    return sorted(kept, key=lambda problem: problem["type"] != "extra_forbidden")
