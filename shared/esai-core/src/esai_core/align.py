"""Refuse arrays that do not belong together, before anything is computed of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError

_SAME_COORDINATE = (
    1e-5  # degrees, hours...: what single precision loses on a coordinate, and far below any grid's step
)


def as_array(value: Any, name: str) -> xr.DataArray:
    """Return `value` as a DataArray; a numpy array gets the dimensions dim_0, dim_1..."""
    if isinstance(value, xr.DataArray):
        return value
    if isinstance(value, xr.Dataset):
        raise UsageError(f"{name} is a Dataset; a score takes one variable", remedy="pick it: ds['t2m']")
    return xr.DataArray(value)


def aligned(
    main: xr.DataArray,
    other: xr.DataArray,
    *,
    names: tuple[str, str],
    units: bool = True,
    free: Collection[Hashable] = (),
) -> xr.DataArray:
    """Return `other` in the order of the coordinates of `main`, or refuse.

    Nothing is dropped, filled or interpolated: every dimension of `other` is one of `main`, with the same
    values and chunks, but for those named in `free`. Another order of the same values is put right; floats
    may differ by single precision's rounding.

    Raises
    ------
    InputError
        If a dimension of `other` is not in `main`, sizes or coordinate values differ, values repeat, valid
        times differ, or both have units and these differ.
    """
    left, right = names
    extra = [str(d) for d in other.dims if d not in main.dims and d not in free]
    if extra:
        raise InputError(
            f"{right} has the dimension {', '.join(extra)} which {left} lacks",
            where=f"{left}: {spelled_dims(main)}; {right}: {spelled_dims(other)}",
            remedy="select or average it first",
        )
    first, second = main.attrs.get("units"), other.attrs.get("units")
    if units and first is not None and second is not None and str(first).strip() != str(second).strip():
        raise InputError(
            f"units differ: {left} in {first!r}, {right} in {second!r}", remedy="convert one of them"
        )
    for dim in other.dims:
        if dim not in free:
            other = _same_order(main, other, dim, names)
    if main.chunks is not None and other.chunks is not None:
        other = other.chunk({dim: main.chunksizes[dim] for dim in other.dims if dim not in free})
    if "valid_time" in main.coords and "valid_time" in other.coords:
        here, there = main["valid_time"], other["valid_time"]
        if set(here.dims) == set(there.dims) and not np.array_equal(here, there.transpose(*here.dims)):
            raise InputError(
                f"valid_time of {left} and {right} differ", remedy="match the reference by valid time"
            )
    return other


def _same_order(
    main: xr.DataArray, other: xr.DataArray, dim: Hashable, names: tuple[str, str]
) -> xr.DataArray:
    left, right = names
    if main.sizes[dim] != other.sizes[dim]:
        detail = ""
        if dim in main.indexes and dim in other.indexes:
            detail = _unmatched(np.asarray(main[dim]), np.asarray(other[dim]), names)
        raise InputError(
            f"{left} has {main.sizes[dim]} values along {dim}, {right} has {other.sizes[dim]}{detail}",
            remedy="select the common values first",
        )
    if dim not in main.indexes or dim not in other.indexes or main.indexes[dim].equals(other.indexes[dim]):
        return other
    a, b = np.asarray(main[dim]), np.asarray(other[dim])
    for values, name in ((a, left), (b, right)):
        if len(np.unique(values)) < len(values):
            raise InputError(f"{name} has repeated values along {dim}", remedy="drop the duplicates")
    if not _close(a, b):
        order_a, order_b = np.argsort(a, kind="stable"), np.argsort(b, kind="stable")
        if not _close(a[order_a], b[order_b]):
            raise InputError(
                f"{left} and {right} differ along {dim}{_unmatched(a, b, names)}",
                remedy="select the common values, or regrid, first",
            )
        positions = np.empty(len(a), dtype=np.intp)
        positions[order_a] = order_b
        other = other.isel({dim: positions})
    return other.assign_coords({dim: main[dim]})


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind == "f" and b.dtype.kind in "fiu":
        return bool(np.all(np.abs(a - b) <= _SAME_COORDINATE))
    return bool(np.array_equal(a, b))


def _unmatched(a: np.ndarray, b: np.ndarray, names: tuple[str, str]) -> str:
    found = []
    for values, others, name in ((a, b, names[0]), (b, a, names[1])):
        only = values[~np.isin(values, others)]
        if len(only):
            found.append(f"{len(only)} only in {name}, such as {only[0]}")
    return f": {'; '.join(found)}" if found else ""


def spelled_dims(array: xr.DataArray) -> str:
    """Spell the dimensions and sizes of an array for a message: '(time 3, latitude 5)'."""
    return "(" + ", ".join(f"{d} {n}" for d, n in array.sizes.items()) + ")"


def each(function: Callable[..., np.ndarray], *arrays: Any, **options: Any) -> xr.DataArray:
    """Apply a function of numpy arrays to each element, lazily for dask; the result is float64."""
    return xr.apply_ufunc(
        function,
        *arrays,
        kwargs=options,
        dask="parallelized",
        output_dtypes=[np.float64],
        join="exact",
    )
