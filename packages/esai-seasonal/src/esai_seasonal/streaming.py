"""Quantile mapping and the other corrections of long series, streamed in blocks of cells.

For data without starts and leads (daily means of a climate model and a reanalysis, thousands of days on a
whole
region), where three fields of gigabytes never fit into memory together.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.io import atomic_path, open_reference
from esai_core.progress import track
from esai_seasonal.methods.correction import KINDS, find

if TYPE_CHECKING:
    import zarr

__all__ = ["correct_series", "correct_values"]

Source = str | Path | xr.DataArray
SERIES_METHODS = ("mean_bias", "mean_variance", "eqm", "qdm")
BYTES = 15
"""Memory that a value of the three series takes while its block is worked on (measured)."""
BATCH_BYTES = 1 << 22
"""Size of a series of the cells that are corrected at once within a block."""


def correct_values(
    method: str, model: np.ndarray, reference: np.ndarray, new: np.ndarray, *, kind: str = "additive"
) -> np.ndarray:
    """Correct series in memory, each cell on its own.

    Parameters
    ----------
    method : {"mean_bias", "mean_variance", "eqm", "qdm"}
        A method that needs no year.
    model, reference : ndarray
        Training series ``(cell, time)``; their times need not be the same.
    new : ndarray
        Series to correct, ``(cell, time)``.
    kind : {"additive", "multiplicative"}
        Differences or ratios.

    Returns
    -------
    ndarray
        Like `new`.
    """
    if method not in SERIES_METHODS or kind not in KINDS:
        raise UsageError(
            f"no correction of series by {method!r}, {kind!r}", remedy=f"methods: {', '.join(SERIES_METHODS)}"
        )
    chosen = find(method)
    fitted = chosen.fit(model[..., None], reference, np.arange(model.shape[-1]), kind)
    out = chosen.predict(fitted.astype(new.dtype), new[..., None], np.arange(new.shape[-1]), kind)
    return out[..., 0].astype(new.dtype, copy=False)


def correct_series(
    method: str,
    *,
    model: Source,
    reference: Source,
    new: Source,
    out: str | Path,
    variable: str | None = None,
    kind: str = "additive",
    by_month: bool = False,
    memory: float = 1.2e9,
    workers: int | None = None,
) -> Path:
    """Correct a long gridded series and write it to Zarr, with bounded memory.

    Each block of cells is read, corrected and written by one thread; the kernels release the interpreter,
    so the
    threads run side by side.

    Parameters
    ----------
    method : str
        As of `correct_values`.
    model, reference, new : path or DataArray
        Training series of the model and the reference and the series to correct, ``(time, latitude,
        longitude)`` on
        one grid and in one unit: NetCDF or Zarr, or lazily opened arrays. Zarr with whole series in each
        chunk is
        fastest.
    out : path
        Zarr store to write, whole or not at all.
    variable : str, optional
        Variable in the files.
    kind : str
        As of `correct_values`.
    by_month : bool
        Fit each calendar month on its own, instead of all times together.
    memory : float
        Bytes that all blocks in work may take.
    workers : int, optional
        Threads; the number of processors by default.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InputError
        Files of other grids or units.
    """
    arrays = [_opened(source, variable) for source in (model, reference, new)]
    _check_alike(arrays)
    workers = workers or os.cpu_count() or 1
    target = arrays[2]
    series = sum(a.sizes["time"] for a in arrays)
    cells = max(1, int(memory / workers / (BYTES * series)))
    blocks = list(
        _blocks(target, cells, max(_stored_rows(source, variable) for source in (model, reference, new)))
    )
    step = max(1, min(blocks[0][0].stop - blocks[0][0].start, target.sizes["latitude"]))
    chunk = (target.sizes["time"], step, min(blocks[0][1].stop, target.sizes["longitude"]))
    with atomic_path(out) as temporary:
        store = _created(target, temporary, chunk)

        def work(block: tuple[slice, slice]) -> None:
            rows, columns = block
            where = {"latitude": rows, "longitude": columns}
            values = [_by_time(a.isel(where)) for a in arrays]
            out = np.empty_like(values[2], dtype="float32")
            # A few cells at a time: their series stay in the cache, and no large array is faulted in.
            width = max(1, BATCH_BYTES // (4 * len(out)))
            for first in range(0, out.size // len(out), width):
                some = slice(first, first + width)
                series = [np.ascontiguousarray(v[:, some].T) for v in values]
                out[:, some] = _corrected(method, series, arrays, kind, by_month).T
            store[:, rows, columns] = out.reshape(len(out), rows.stop - rows.start, -1)

        with ThreadPoolExecutor(workers) as pool:
            pending = {pool.submit(work, block) for block in blocks[: 2 * workers]}
            rest = iter(blocks[2 * workers :])
            for _ in track(blocks, len(blocks), method):
                done, pending = wait(pending, return_when="FIRST_COMPLETED")
                for future in done:
                    future.result()
                    following = next(rest, None)
                    if following is not None:
                        pending.add(pool.submit(work, following))
                if not pending:
                    break
    return Path(out)


def _opened(source: Source, variable: str | None) -> xr.DataArray:
    return source if isinstance(source, xr.DataArray) else open_reference(source, variable=variable)


def _check_alike(arrays: list[xr.DataArray]) -> None:
    first = arrays[0]
    for other in arrays[1:]:
        for name in ("latitude", "longitude"):
            if other.sizes[name] != first.sizes[name] or not np.allclose(other[name], first[name], atol=1e-4):
                raise InputError(
                    f"the {name}s of the three series differ", remedy="regrid them to one grid first"
                )
        if other.attrs.get("units") != first.attrs.get("units"):
            raise InputError(f"units {first.attrs.get('units')!r} and {other.attrs.get('units')!r}")


def _stored_rows(source: Source, variable: str | None) -> int:
    """Rows of a stored chunk: blocks that follow them read nothing twice."""
    da = source if isinstance(source, xr.DataArray) else open_reference(source, variable=variable, chunks={})
    chunks = da.chunksizes.get("latitude")
    return chunks[0] if chunks else 1


def _blocks(da: xr.DataArray, cells: int, stored: int) -> Iterator[tuple[slice, slice]]:
    """Cut the grid into blocks of whole rows where they fit, else of parts of a row."""
    rows, columns = da.sizes["latitude"], da.sizes["longitude"]
    height, width = max(1, cells // columns), min(columns, cells)
    if height >= stored:
        height -= height % stored
    for i in range(0, rows, height):
        for j in range(0, columns, width):
            yield slice(i, min(i + height, rows)), slice(j, min(j + width, columns))


def _by_time(da: xr.DataArray) -> np.ndarray:
    """Read a block as ``(time, cell)``."""
    values = da.transpose("time", "latitude", "longitude").values
    return values.reshape(len(values), -1)


def _corrected(
    method: str, values: list[np.ndarray], arrays: list[xr.DataArray], kind: str, by_month: bool
) -> np.ndarray:
    if not by_month:
        return correct_values(method, *values, kind=kind)
    months = [a["time"].dt.month.values for a in arrays]
    out = np.full_like(values[2], np.nan)
    for month in np.unique(months[2]):
        picked = [v[:, m == month] for v, m in zip(values, months, strict=True)]
        if min(p.shape[1] for p in picked[:2]) < 2:
            raise InputError(f"month {month} has no training values")
        out[:, months[2] == month] = correct_values(method, *picked, kind=kind)
    return out


def _created(target: xr.DataArray, path: Path, chunk: tuple[int, ...]) -> zarr.Array:
    """Make an empty Zarr store with the coordinates of `target`; give the array to fill."""
    import zarr
    from zarr.codecs import BloscCodec

    name = str(target.name or "values")
    ds = target.coords.to_dataset()[["time", "latitude", "longitude"]].drop_encoding()
    ds.attrs["Conventions"] = "CF-1.11"
    ds.to_zarr(path, zarr_format=3, consolidated=False)
    dims = ("time", "latitude", "longitude")
    return zarr.open_group(path, mode="r+").create_array(
        name,
        shape=tuple(target.sizes[d] for d in dims),
        chunks=chunk,
        dtype="float32",
        # A third of the time of zarr's default, and a smaller file.
        compressors=BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"),
        fill_value=np.nan,
        dimension_names=dims,
        attributes={str(k): str(v) for k, v in target.attrs.items()},
    )
