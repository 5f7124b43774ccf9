"""Write NetCDF and Zarr: CF-1.11, compressed, streamed where lazy, whole or not at all, the same bytes each time."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import UsageError
from esai_core.io.atomic import atomic_path
from esai_core.io.names import COORDINATE_ATTRS

CHUNK_BYTES = 1 << 20


def write_netcdf(
    ds: xr.Dataset | xr.DataArray,
    path: str | Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    level: int = 2,
) -> Path:
    """Write a CF-1.11 NetCDF-4 file.

    Dask-backed data are computed and written block by block, so that memory stays bounded by the blocks in work. The
    content depends on the data alone: no time stamps, so that a repeated run gives the same bytes.

    Parameters
    ----------
    ds : xarray.Dataset or xarray.DataArray
        Any dims.
    path : str or Path
        File to write; an earlier one is replaced only when the new one is whole.
    provenance : mapping, optional
        Global attributes to add (title, source, references, configuration ...).
    dtype : str
        Type that floating-point variables (not coordinates) are stored in.
    level : int
        Level of zlib compression, 0 to 9.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    EsaiError
        If the disk is full.
    """
    ds = _prepared(ds, provenance)
    encoding = {str(name): _encoding(ds[name], dtype, level, name in ds.coords) for name in ds.variables}
    with atomic_path(path) as temporary:
        ds.to_netcdf(temporary, engine="netcdf4", format="NETCDF4", encoding=encoding)
    return Path(path)


def write_zarr(
    ds: xr.Dataset | xr.DataArray,
    path: str | Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> Path:
    """Write a Zarr store (format 3), block by block; its chunks are those of dask.

    Parameters and errors are those of :func:`write_netcdf`; an earlier store is replaced when the new one is whole.
    """
    try:
        import zarr  # noqa: F401
    except ImportError as error:
        raise UsageError("Zarr is not installed", where=path, remedy="pip install esai-core[zarr]") from error
    ds = _prepared(ds, provenance)
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in ds.variables.items():
        if name in ds.coords:
            encoding[str(name)] = _time_encoding(variable)
            continue
        if variable.chunks is not None:
            ds[name] = ds[name].chunk(
                {d: max(sizes) for d, sizes in zip(variable.dims, variable.chunks, strict=True)}
            )
        chunks = _chunks(variable, dtype, of_dask=True)
        encoding[str(name)] = {"dtype": dtype} if variable.dtype.kind == "f" else {}
        if chunks:
            encoding[str(name)]["chunks"] = chunks
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have a Zarr V3 specification")
        ds.to_zarr(temporary, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
    return Path(path)


def _prepared(ds: xr.Dataset | xr.DataArray, provenance: Mapping[str, Any] | None) -> xr.Dataset:
    """Copy with CF attributes and without what the encoding of an input file left behind."""
    if isinstance(ds, xr.DataArray):
        ds = ds.to_dataset(name=ds.name or "values")
    ds = ds.drop_encoding().copy(deep=False)
    for name, attrs in COORDINATE_ATTRS.items():
        if name in ds.coords:
            ds[name].attrs = {**attrs, **ds[name].attrs}
    for variable in ds.variables.values():
        variable.attrs = {
            k: _attribute(v) for k, v in variable.attrs.items() if v is not None and k != "_FillValue"
        }
    ds.attrs = {
        **{k: _attribute(v) for k, v in ds.attrs.items() if v is not None},
        **{k: _attribute(v) for k, v in (provenance or {}).items()},
        "Conventions": "CF-1.11",
    }
    return ds


def _attribute(value: Any) -> Any:
    """Value that a NetCDF attribute can hold."""
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, str | int | float | np.number):
        return value
    if isinstance(value, list | tuple | np.ndarray) and all(
        isinstance(v, int | float | np.number) for v in value
    ):
        return np.asarray(value)
    return str(value)


def _encoding(variable: xr.DataArray, dtype: str, level: int, coordinate: bool) -> dict[str, Any]:
    if variable.dtype.kind in "mM":
        return _time_encoding(variable.variable)
    if coordinate or variable.ndim == 0 or variable.dtype.kind not in "fiub":
        return {"_FillValue": None} if variable.dtype.kind == "f" and coordinate else {}
    out: dict[str, Any] = {"zlib": level > 0, "complevel": level, "shuffle": True}
    if variable.dtype.kind == "f":
        out.update(dtype=dtype, _FillValue=np.array(np.nan, dtype=dtype))
    chunks = _chunks(variable.variable, dtype)
    if chunks:
        out["chunksizes"] = chunks
    return out


def _time_encoding(variable: xr.Variable) -> dict[str, Any]:
    """Whole days where possible, else seconds; CF wants no missing values in a coordinate."""
    if variable.dtype.kind != "M":
        return {"_FillValue": None} if variable.dtype.kind == "f" else {}
    seconds = variable.values.astype("datetime64[s]").astype(np.int64)
    unit = "days" if np.all(seconds % 86400 == 0) else "seconds"
    return {"units": f"{unit} since 1970-01-01", "calendar": "standard", "dtype": "int64"}


def _chunks(variable: xr.Variable, dtype: str, *, of_dask: bool = False) -> tuple[int, ...] | None:
    """Chunks of about a megabyte, whole along the last dimensions, and never across dask's blocks."""
    if variable.ndim == 0 or variable.size == 0:
        return None
    blocks = [max(sizes) for sizes in variable.chunks] if variable.chunks else list(variable.shape)
    if of_dask and variable.chunks:
        return tuple(blocks)
    left = CHUNK_BYTES // (
        np.dtype(dtype).itemsize if variable.dtype.kind == "f" else variable.dtype.itemsize
    )
    out = []
    for size in reversed(blocks):
        out.append(max(1, min(size, left)))
        left //= out[-1]
    return tuple(reversed(out))
