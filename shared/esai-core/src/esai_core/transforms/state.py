"""What the transforms have in common: checks of what they are applied to, and files without pickles."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError

_FORMAT = 1


def check_same(da: xr.DataArray, *, name: str | None, units: str | None, what: str) -> None:
    """Refuse data of another variable or other units than a transform was fitted on; unknown passes.

    Raises
    ------
    InputError
        Naming both.
    """
    if name is not None and da.name is not None and str(da.name) != name:
        raise InputError(f"{what} was fitted on {name}, not on {da.name}", remedy="fit one for each variable")
    theirs = da.attrs.get("units")
    if units is not None and theirs is not None and str(theirs).strip() != units:
        raise InputError(
            f"{what} was fitted on units {units!r}, the data has {str(theirs)!r}",
            where=name,
            remedy="convert the units first",
        )


def fitted_on(da: xr.DataArray) -> dict[str, str | None]:
    """Return name and units of the data for `check_same`."""
    units = da.attrs.get("units")
    return {
        "name": None if da.name is None else str(da.name),
        "units": None if units is None else str(units).strip(),
    }


def save_state(path: str | Path, kind: str, meta: dict[str, Any], arrays: dict[str, xr.DataArray]) -> None:
    """Write a transform as one .npz of plain arrays and a JSON text; whole or not at all."""
    from esai_core.io.atomic import atomic_path

    stored: dict[str, np.ndarray] = {}
    layout: dict[str, Any] = {}
    for name, array in arrays.items():
        stored[name] = array.values
        layout[name] = {"dims": list(array.dims), "coords": []}
        for dim in array.dims:
            if dim in array.indexes:
                values = array[dim].values
                stored[f"{name}.{dim}"] = values.astype(str) if values.dtype == object else values
                layout[name]["coords"].append(dim)
    text = json.dumps({"format": _FORMAT, "kind": kind, "meta": meta, "layout": layout}, sort_keys=True)
    with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, json=np.array(text), **stored)


def load_state(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, xr.DataArray]]:
    """Read what `save_state` wrote.

    Raises
    ------
    InputError
        If the file is missing, is not such a file, or holds another kind of transform.
    """
    try:
        with Path(path).open("rb") as binary, np.load(binary, allow_pickle=False) as file:
            held = {key: file[key] for key in file.files}
        text = json.loads(str(held.pop("json")))
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"not a saved transform: {error}", where=path) from error
    if text.get("kind") != kind or text.get("format") != _FORMAT:
        raise InputError(
            f"holds a {text.get('kind')} of format {text.get('format')}, not a {kind}", where=path
        )
    arrays = {}
    for name, layout in text["layout"].items():
        coords = {dim: held[f"{name}.{dim}"] for dim in layout["coords"]}
        arrays[name] = xr.DataArray(held[name], dims=layout["dims"], coords=coords)
    return text["meta"], arrays
