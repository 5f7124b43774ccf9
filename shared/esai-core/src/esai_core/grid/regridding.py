"""Regridding between regular grids with separable weights; missing values over the sea do not spread."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from esai_core.errors import UsageError
from esai_core.grid.grids import Grid, Kind, align_longitude, coarse_grid, spacing

Method = Literal["bilinear", "conservative", "nearest"]
Edge = Literal["nan", "nearest"]
BLOCK = 4_000_000  # values regridded at a time
LEAST = 1e-5  # a smaller share of the weights is rounding


def regrid(
    da: xr.DataArray,
    target: Grid | xr.Dataset | xr.DataArray,
    *,
    method: Method = "bilinear",
    skipna: bool = True,
    min_valid: float = 0.0,
    edge: Edge = "nan",
) -> xr.DataArray:
    """Regrid to another regular grid with separable weights: ``out = W_lat · field · W_lonᵀ``.

    With missing values the weights of the valid points are renormalised, so that NaNs over the sea do not
    spread: ``out = (W · field, NaN as 0) / (W · valid)``, where the denominator exceeds `min_valid`.

    The weights are our own rather than xarray-regrid's: its linear method lets NaNs spread, and its
    conservative one takes overlaps in degrees instead of in sin(latitude) and drops targets beyond the
    outermost source *points*, so totals are not conserved.

    Parameters
    ----------
    da : xarray.DataArray
        ``(..., latitude, longitude)``, in any order of dims; dask arrays stay lazy.
    target : Grid, Dataset or DataArray
        Grid to go to, in either order of latitudes; its longitudes may be in another convention.
    method : {"bilinear", "conservative", "nearest"}
        "bilinear" gives the source values exactly at shared points. "conservative" is the area-weighted mean
        over the target cell on the sphere: the total over a covered domain is kept to rounding.
    skipna : bool
        Renormalise over valid points; else any missing or uncovered share gives NaN.
    min_valid : float
        Least fraction of the weight that must be valid, in [0, 1].
    edge : {"nan", "nearest"}
        Targets beyond the outermost points but within their cells (half a step): missing, or the value at the
        edge. Nothing is ever extrapolated farther. "conservative" always uses whole cells.

    Returns
    -------
    xarray.DataArray
        Dims of `da` in their order, on the target grid, float, attributes kept.
    """
    if method not in ("bilinear", "conservative", "nearest"):
        raise UsageError(f"unknown method {method!r}", remedy="expected bilinear, conservative or nearest")
    source, grid = Grid.from_dataset(da), Grid.from_dataset(target)
    if method == "bilinear" and edge == "nan" and source.matches(grid):
        return da
    wlat, wlon = separable_weights(source, grid, method=method, edge=edge)
    out = xr.apply_ufunc(
        _apply,
        da,
        kwargs={"wlat": wlat, "wlon": wlon, "skipna": skipna, "min_valid": min_valid},
        input_core_dims=[["latitude", "longitude"]],
        output_core_dims=[["latitude", "longitude"]],
        exclude_dims={"latitude", "longitude"},
        dask="parallelized",
        output_dtypes=[np.result_type(da.dtype, np.float32)],
        dask_gufunc_kwargs={
            "output_sizes": {"latitude": grid.shape[0], "longitude": grid.shape[1]},
            "allow_rechunk": True,
        },
        keep_attrs=True,
    )
    return out.assign_coords(grid.coords()).transpose(*da.dims)


def separable_weights(
    source: Grid, target: Grid, *, method: Method = "bilinear", edge: Edge = "nan"
) -> tuple[np.ndarray, np.ndarray]:
    """Make the weight matrices ``(target, source)`` of latitude and of longitude.

    Rows sum to the covered fraction, which is 0 or 1 for bilinear and nearest.
    """
    lon = align_longitude(target.longitude, source.longitude)
    if method == "conservative":
        lat_weights = _overlap(
            np.sin(np.deg2rad(source.latitude_bounds)), np.sin(np.deg2rad(target.latitude_bounds))
        )
        bounds = target.longitude_bounds + (lon - target.longitude)[:, None]
        lon_weights = sum(_overlap(source.longitude_bounds, bounds + shift) for shift in (-360.0, 0.0, 360.0))
        return lat_weights, np.asarray(lon_weights)
    make = _linear if method == "bilinear" else _nearest
    period = 360.0 if source.is_global else None
    return (
        make(source.latitude, target.latitude, edge=edge, period=None),
        make(source.longitude, lon, edge=edge, period=period),
    )


def coarsen(
    da: xr.DataArray,
    factor: int,
    *,
    kind: Kind = "node",
    skipna: bool = True,
    min_valid: float = 0.0,
) -> xr.DataArray:
    """Area-weighted mean over coarse cells, from a fine field; missing values do not spread.

    Parameters
    ----------
    da : xarray.DataArray
        ``(..., latitude, longitude)``.
    factor : int
        Fine steps per coarse step.
    kind : {"node", "cell"}
        "node": coarse points are every `factor`-th fine point, ``(n - 1) * factor + 1`` fine points give `n`,
        and their cells reach half a coarse step to each side (cut at the edge of the domain). "cell": blocks
        of `factor` cells.
    skipna, min_valid
        As in :func:`regrid`; `min_valid` is the least fraction of valid area.

    Raises
    ------
    InputError
        If the sizes do not fit the factor; nothing is cut off silently.
    """
    return regrid(
        da,
        coarse_grid(Grid.from_dataset(da), factor, kind=kind),
        method="conservative",
        skipna=skipna,
        min_valid=min_valid,
    )


def coarsen_nodes(da: xr.DataArray, factor: int) -> xr.DataArray:
    """Take every `factor`-th point of a node grid: what a coarse model grid shares with the fine one.

    Raises
    ------
    InputError
        If the sizes are not ``(n - 1) * factor + 1``.
    """
    grid = coarse_grid(Grid.from_dataset(da), factor, kind="node")
    return da.isel(latitude=slice(None, None, factor), longitude=slice(None, None, factor)).assign_coords(
        grid.coords()
    )


def _apply(
    values: np.ndarray, wlat: np.ndarray, wlon: np.ndarray, skipna: bool, min_valid: float
) -> np.ndarray:
    """Regrid the last two axes, some fields at a time: beside input and output it needs little memory."""
    dtype = np.result_type(values.dtype, np.float32)
    wlat, wlon = wlat.astype(dtype), wlon.astype(dtype)
    covered = wlat.sum(1)[:, None] * wlon.sum(1)[None, :]
    least = max(min_valid, LEAST) if skipna else 1.0
    fields = values.reshape(-1, *values.shape[-2:])
    out = np.empty((len(fields), len(wlat), len(wlon)), dtype)
    step = max(1, BLOCK // max(fields[0].size, out[0].size)) if len(fields) else 1
    for first in range(0, len(fields), step):
        part = fields[first : first + step].astype(dtype, copy=False)
        missing = np.isnan(part)
        valid = covered
        if missing.any():
            part = np.where(missing, dtype.type(0), part)
            valid = _product((~missing).astype(dtype), wlat, wlon)
        total = _product(part, wlat, wlon)
        keep = valid >= least * (1.0 - LEAST)
        np.divide(total, valid, out=total, where=keep & (valid != 1))
        total[~np.broadcast_to(keep, total.shape)] = np.nan
        out[first : first + step] = total
    return out.reshape(*values.shape[:-2], len(wlat), len(wlon))


def _product(values: np.ndarray, wlat: np.ndarray, wlon: np.ndarray) -> np.ndarray:
    """``W_lat · x · W_lonᵀ`` over the last two axes, the cheaper side first."""
    (a, b), (c, d) = wlat.shape, wlon.shape
    if b * d * c + a * b * c <= a * b * d + a * d * c:
        return np.matmul(wlat, np.matmul(values, wlon.T))
    return np.matmul(np.matmul(wlat, values), wlon.T)


def _overlap(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fraction of each target interval that each source interval covers ``(target, source)``."""
    s, t = np.sort(source, axis=1), np.sort(target, axis=1)
    low = np.maximum(t[:, None, 0], s[None, :, 0])
    high = np.minimum(t[:, None, 1], s[None, :, 1])
    return np.clip(high - low, 0.0, None) / (t[:, 1] - t[:, 0])[:, None]


def _linear(source: np.ndarray, target: np.ndarray, *, edge: str, period: float | None) -> np.ndarray:
    """Linear weights ``(target, source)``; a target on a source point takes it alone, exactly."""
    x, position, columns = _brackets(source, target, edge=edge, period=period)
    out = np.zeros((target.size, source.size))
    rows = np.arange(target.size)
    inside = ~np.isnan(position)
    if x.size == 1:
        out[rows[inside], columns[0]] = 1.0
        return out
    left = np.clip(np.searchsorted(x, position, side="right") - 1, 0, x.size - 2)
    step = x[left + 1] - x[left]
    right_weight = np.where(inside, (position - x[left]) / step, 0.0)
    right_weight = np.where(np.abs(right_weight) < 1e-6, 0.0, right_weight)
    right_weight = np.where(np.abs(right_weight - 1.0) < 1e-6, 1.0, right_weight)
    np.add.at(out, (rows[inside], columns[left[inside]]), 1.0 - right_weight[inside])
    np.add.at(out, (rows[inside], columns[left[inside] + 1]), right_weight[inside])
    return out


def _nearest(source: np.ndarray, target: np.ndarray, *, edge: str, period: float | None) -> np.ndarray:
    x, position, columns = _brackets(source, target, edge="nearest", period=period)
    out = np.zeros((target.size, source.size))
    inside = np.flatnonzero(~np.isnan(position))
    closest = np.abs(position[inside][:, None] - x[None, :]).argmin(1)
    out[inside, columns[closest]] = 1.0
    return out


def _brackets(
    source: np.ndarray, target: np.ndarray, *, edge: str, period: float | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ascending source points (closed around the globe), target positions (NaN outside), source columns."""
    columns = np.argsort(source)
    x = source[columns]
    if period is not None:
        x = np.concatenate([[x[-1] - period], x, [x[0] + period]])
        columns = np.concatenate([[columns[-1]], columns, [columns[0]]])
        position = x[1] + (target - x[1]) % period
        return x, position, columns
    half = 0.5 * spacing(x) * (1 + 1e-6)
    slack = half if edge == "nearest" else 1e-6 * max(half, 1e-3)
    outside = (target < x[0] - slack) | (target > x[-1] + slack)
    return x, np.where(outside, np.nan, np.clip(target, x[0], x[-1])), columns
