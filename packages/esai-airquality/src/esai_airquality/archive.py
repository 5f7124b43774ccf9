"""Arrays and facts in one file, which all jobs keep their models and states in."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_core.io import atomic_path

__all__ = ["read_archive", "write_archive"]


def write_archive(path: str | Path, arrays: Mapping[str, NDArray], facts: Mapping[str, Any]) -> Path:
    """Write an ``.npz`` without pickles, whole or not at all; an earlier one is replaced at once.

    Parameters
    ----------
    path : path
    arrays : mapping of str to array
        Any names but "facts".
    facts : mapping
        What JSON can hold.

    Returns
    -------
    Path
    """
    kept: dict[str, Any] = {**arrays, "facts": np.frombuffer(json.dumps(facts).encode(), np.uint8)}
    with atomic_path(path) as temporary, Path(temporary).open("wb") as file:
        np.savez(file, allow_pickle=False, **kept)
    return Path(path)


def read_archive(
    path: str | Path, *, wrong: str, remedy: str | None = None
) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Read the arrays and facts that `write_archive` wrote.

    Parameters
    ----------
    path : path
    wrong, remedy : str
        What to say of another file, or of half a file.

    Raises
    ------
    InputError
        If it is one.
    """
    try:
        with np.load(io.BytesIO(Path(path).read_bytes()), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop("facts").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{wrong}: {error}", where=path, remedy=remedy) from error
