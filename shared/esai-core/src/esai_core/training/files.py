"""Checkpoints: arrays and a JSON text in one file, written whole or not at all, read without pickle."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.errors import EsaiError, InputError, from_os_error
from esai_core.io.atomic import atomic_path

__all__ = ["collect", "read_checkpoint", "restore", "spread", "value_of", "write_checkpoint"]

_META = "__meta__"


def write_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
    """Write arrays and what is known about them.

    Parameters
    ----------
    path : Path
        File to write; an earlier one is replaced once the new one is whole.
    arrays : mapping of str to array
        Any dtype but object.
    meta : mapping
        Anything JSON holds (with NaN and infinities).

    Raises
    ------
    EsaiError
        If the disk is full or the place cannot be written.
    """
    with atomic_path(path) as partial:
        np.savez(partial, allow_pickle=False, **{_META: np.array(json.dumps(meta))}, **arrays)


def read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write_checkpoint` wrote.

    Returns
    -------
    tuple
        The arrays by name, and the mapping.

    Raises
    ------
    InputError
        If the file is missing, truncated or no checkpoint.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop(_META)))
    except OSError as error:
        raise from_os_error(error, path=path) from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"not a whole checkpoint: {error}", where=path, remedy="delete it and train without --resume"
        ) from error
    return arrays, meta


def restore(variables: list[Any], arrays: Mapping[str, np.ndarray], kind: str, *, where: Path) -> None:
    """Set Keras variables from the arrays ``kind/0``, ``kind/1``...

    Raises
    ------
    EsaiError
        If number or shapes do not agree.
    """
    stored = collect(arrays, kind)
    shapes = [tuple(variable.shape) for variable in variables]
    if [array.shape for array in stored] != shapes:
        raise EsaiError(
            f"{len(stored)} {kind} variables in the checkpoint, {len(shapes)} or other shapes in this run",
            where=where,
            remedy="train without --resume, or restore the config it was made with",
        )
    for variable, array in zip(variables, stored, strict=True):
        variable.assign(array)


def collect(arrays: Mapping[str, np.ndarray], kind: str) -> list[np.ndarray]:
    """Give the arrays ``kind/0``, ``kind/1``... in order."""
    count = sum(name.startswith(f"{kind}/") for name in arrays)
    return [arrays[f"{kind}/{number}"] for number in range(count)]


def spread(variables: list[Any], kind: str) -> dict[str, np.ndarray]:
    """Name the values of variables (or arrays) ``kind/0``, ``kind/1``..."""
    return {f"{kind}/{number}": value_of(variable) for number, variable in enumerate(variables)}


def value_of(variable: Any) -> np.ndarray:
    """Give the value of a Keras or TensorFlow variable, under any strategy, or of an array."""
    if isinstance(variable, np.ndarray):
        return variable
    inner = getattr(variable, "value", None)  # a Keras variable has one; that of TensorFlow's is a method
    return (variable if inner is None or callable(inner) else inner).numpy()
