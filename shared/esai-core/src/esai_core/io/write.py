"""Write NetCDF and Zarr: CF-1.11, compressed, streamed where lazy, whole or not at all, reproducible."""

from __future__ import annotations

import importlib.util
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import UsageError
from esai_core.io.atomic import atomic_path
from esai_core.io.names import COORDINATE_ATTRS

CHUNK_BYTES = 1 << 20
BATCH = 4  # blocks computed at a time


def write_netcdf(
    ds: xr.Dataset | xr.DataArray,
    path: str | Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    level: int = 2,
) -> Path:
    """Write a CF-1.11 NetCDF-4 file.

    Dask-backed data are computed and written block by block, so that memory stays bounded by the blocks in
    work. The content depends on the data alone: no time stamps, so that a repeated run gives the same bytes.

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
    lazy = [str(name) for name, v in ds.variables.items() if v.chunks is not None and v.dtype.kind in "fiub"]
    with atomic_path(path) as temporary:
        ready = ds.drop_vars(lazy)
        ready.to_netcdf(
            temporary,
            engine="netcdf4",
            format="NETCDF4",
            encoding={name: encoding[name] for name in encoding if name not in lazy},
        )
        if lazy:
            _stream(ds, lazy, temporary, encoding)
    return Path(path)


def _stream(ds: xr.Dataset, lazy: list[str], path: Path, encoding: dict[str, dict[str, Any]]) -> None:
    """Add dask-backed variables to a file, a few blocks at a time and in order.

    xarray's own writer stores blocks in the order in which threads finish, which changes the bytes from run
    to run.
    """
    import netCDF4
    from dask import base

    compute: Callable[..., tuple] = base.compute

    with netCDF4.Dataset(path, "a") as file:
        for dim, size in ds.sizes.items():
            if dim not in file.dimensions:
                file.createDimension(str(dim), size)
        for name in lazy:
            variable = ds[name]
            options = dict(encoding[name])
            fill = options.pop("_FillValue", None)
            kind = np.dtype(options.pop("dtype", variable.dtype))
            target = file.createVariable(
                name, kind, tuple(map(str, variable.dims)), fill_value=fill, **options
            )
            target.set_auto_maskandscale(False)
            target.set_var_chunk_cache(4 * CHUNK_BYTES)  # else up to 64 MB of each variable stay in memory
            others = [str(c) for c in variable.coords if c not in variable.dims]
            if others and name not in ds.coords:
                target.setncattr("coordinates", " ".join(sorted(others)))
            target.setncatts(variable.attrs)
            blocks = list(_blocks(variable.variable))
            for first in range(0, len(blocks), BATCH):
                batch = blocks[first : first + BATCH]
                arrays = compute(*(variable.data[index] for index in batch))
                for index, array in zip(batch, arrays, strict=True):
                    target[index] = np.asarray(array, dtype=kind)


def _blocks(variable: xr.Variable) -> Iterator[tuple[slice, ...]]:
    """Slices of dask's blocks, in the order of the array."""
    axes = []
    for sizes in variable.chunks or ():
        ends = np.cumsum(sizes)
        axes.append([slice(int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True)])
    yield from itertools.product(*axes)


def write_zarr(
    ds: xr.Dataset | xr.DataArray,
    path: str | Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    dtype: str = "float32",
) -> Path:
    """Write a Zarr store (format 3), block by block; its chunks are those of dask.

    Parameters and errors are those of :func:`write_netcdf`; an earlier store is replaced when the new one is
    whole.
    """
    if importlib.util.find_spec("zarr") is None:
        raise UsageError("Zarr is not installed", where=path, remedy="pip install esai-core[zarr]")
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
        if variable.chunks is not None:  # a chunk across two blocks would be compressed twice
            even = next(n for n in range(out[-1], 0, -1) if size % n == 0)
            out[-1] = even if 2 * even > out[-1] else out[-1]
        left //= out[-1]
    return tuple(reversed(out))
