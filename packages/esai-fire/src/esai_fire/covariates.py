"""Land cover and biomass: classes of cells that learn together, and predictors that change over the years."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.errors import InputError
from esai_core.grid import Grid, regrid
from esai_fire.windows import Series

__all__ = ["LandCover", "classes_on", "read_land_cover", "series_columns"]

#: Groups into which a quantity that does not change (a biomass map) divides the cells.
GROUPS = 3


@dataclass(frozen=True)
class LandCover:
    """What a land-cover file says about the cells.

    Attributes
    ----------
    classes : (latitude, longitude) whole numbers, 0 for none; or None.
    fields : name -> (time, latitude, longitude), quantities that change, such as tree cover or biomass.
    """

    classes: np.ndarray | None
    fields: dict[str, xr.DataArray]


def classes_on(field: xr.DataArray, grid: Grid, *, where: object) -> np.ndarray:
    """Put whole numbers on a grid, each cell taking the number of the nearest point.

    Parameters
    ----------
    field : DataArray
        ``(latitude, longitude)``.
    grid : Grid
        Target.
    where : object
        Named in errors.

    Returns
    -------
    numpy.ndarray
        int; 0 where there is none.

    Raises
    ------
    InputError
        If a value is no whole number, or none is left on the grid.
    """
    values = field.values[np.isfinite(field.values)]
    if np.any(values != np.round(values)):
        raise InputError("classes that are no whole numbers", where=f"{where}: {field.name}")
    number = np.nan_to_num(_placed(field, grid, method="nearest").values).astype(int)
    if not number.any():
        raise InputError("the mask removes every cell", where=where)
    return number


def _placed(field: xr.DataArray, grid: Grid, *, method: str) -> xr.DataArray:
    """Bring a field to a grid, in the order of its dims."""
    front = [dim for dim in field.dims if dim not in ("latitude", "longitude")]
    field = field.transpose(*front, "latitude", "longitude")
    if Grid.from_dataset(field).matches(grid):
        return field
    kind = "nearest" if method == "nearest" else "conservative"
    return regrid(field.astype(np.float64), grid, method=kind, edge="nearest")


def read_land_cover(path: str | Path, grid: Grid) -> LandCover:
    """Read land cover and biomass onto the grid of the burned area.

    A map of whole numbers gives classes; a map of another quantity (biomass) divides the cells into thirds;
    both say which cells learn together and which share the intercept of the emission regressions. Fields with
    a time axis are predictors of their own.

    Parameters
    ----------
    path : path
        NetCDF or Zarr with variables on ``(latitude, longitude)`` or ``(time, latitude, longitude)``.
    grid : Grid
        Of the burned area.

    Returns
    -------
    LandCover

    Raises
    ------
    InputError
        If no variable has these dims.
    """
    ds = io.load(io.open_dataset(path))
    maps: list[np.ndarray] = []
    fields: dict[str, xr.DataArray] = {}
    for label, variable in ds.data_vars.items():
        name = str(label)
        one = variable.squeeze("time", drop=True) if variable.sizes.get("time") == 1 else variable
        where = f"data.land_cover = {path}: {name}"
        if set(one.dims) == {"latitude", "longitude"}:
            values = one.values[np.isfinite(one.values)]
            whole = (
                values.size > 0 and bool(np.all(values == np.round(values))) and np.unique(values).size <= 256
            )
            maps.append(classes_on(one, grid, where=where) if whole else _thirds(one, grid, where))
        elif set(one.dims) == {"time", "latitude", "longitude"}:
            fields[name] = _placed(one, grid, method="conservative").sortby("time")
    if not maps and not fields:
        raise InputError(
            "no variable on (latitude, longitude) or (time, latitude, longitude)",
            where=f"data.land_cover = {path}",
        )
    return LandCover(_combined(maps) if maps else None, fields)


def _is_classes(field: xr.DataArray) -> bool:
    """Tell numbers of classes (at most 256 whole ones) from a quantity."""
    values = np.unique(field.values[np.isfinite(field.values)])
    return 0 < values.size <= 256 and bool(np.all(values == np.round(values)))


def _thirds(field: xr.DataArray, grid: Grid, where: object) -> np.ndarray:
    values = _placed(field, grid, method="conservative").values
    known = values[np.isfinite(values)]
    if known.size == 0:
        raise InputError("the map holds no value on the grid of the burned area", where=where)
    edges = np.quantile(known, np.arange(1, GROUPS) / GROUPS)
    return np.where(np.isfinite(values), np.searchsorted(edges, np.nan_to_num(values), side="right") + 1, 0)


def _combined(maps: list[np.ndarray]) -> np.ndarray:
    """Give each combination of several maps a number; 0 where any of them is."""
    stacked = np.stack(maps, axis=-1)
    _, number = np.unique(stacked.reshape(-1, len(maps)), axis=0, return_inverse=True)
    known = (stacked > 0).all(axis=-1)
    return np.where(known, number.reshape(known.shape) + 1, 0)


def series_columns(
    fields: dict[str, xr.DataArray], series: Series, shares: dict[str, np.ndarray], *, lead: int
) -> tuple[np.ndarray, list[str]]:
    """Give each series the last value of each field before its issue date.

    Parameters
    ----------
    fields : dict of str to DataArray
        From `read_land_cover`, on the grid of the burned area.
    series : Series
        Cells and totals of regions.
    shares : dict of str to array (latitude, longitude)
        Share of each cell in the regions that come first in `series`; their value is the region's mean.
    lead : int
        Months from the last value that is used to the peak month (or to the row's month).

    Returns
    -------
    (columns (C, n, q), names)
        Where a field is missing in a cell throughout, its column is 0 there and is never chosen.

    Raises
    ------
    InputError
        If a field has no value before the first issue date, or gaps in a cell.
    """
    made = np.zeros((series.names.size, series.year.size, len(fields)))
    month = np.where(series.month > 0, series.month, 0)[None, :]
    month = np.where(month > 0, month, series.peak[:, None])
    issue = (series.year[None, :] - 1970) * 12 + month - 1 - lead
    for k, (name, field) in enumerate(fields.items()):
        time = pd.DatetimeIndex(field["time"].values)
        # A yearly map of land cover is known once its year is over; a monthly one when its month is.
        ends = np.asarray((time.year - 1970) * 12 + time.month - 1)
        yearly = time.size < 2 or np.median(np.diff(ends)) >= 12
        ends = np.asarray((time.year - 1970) * 12 + 11) if yearly else ends
        at = np.searchsorted(ends, issue, side="right") - 1
        if (at < 0).any():
            first = int(series.year[np.nonzero(at < 0)[1].min()])
            raise InputError(
                f"{name} is first known in {_month_of(int(ends[0]))}, after the issue date for {first}",
                where="data.land_cover",
                remedy="give earlier years, or leave the first years of burned area out",
            )
        flat = field.values.reshape(field.shape[0], -1)
        cells = np.where(series.is_cell, series.row * field.shape[2] + series.column, 0)
        for c, label in enumerate(series.names):
            values = flat[:, cells[c]] if series.is_cell[c] else _region_mean(flat, shares[str(label)])
            used = values[at[c]]
            known = np.isfinite(used)
            if known.any() and not known.all():
                year = int(series.year[np.flatnonzero(~known)[0]])
                raise InputError(
                    f"{name} has gaps for {label}, first in {year}",
                    where="data.land_cover",
                    remedy="fill them",
                )
            made[c, :, k] = np.where(known, used, 0.0)
    return made, list(fields)


def _region_mean(flat: np.ndarray, share: np.ndarray) -> np.ndarray:
    inside = share.ravel() > 0.0
    values, weight = flat[:, inside], share.ravel()[inside]
    known = np.isfinite(values).all(axis=0)
    if not known.any():
        return np.full(flat.shape[0], np.nan)
    return np.asarray(values[:, known] @ weight[known] / weight[known].sum())


def _month_of(number: int) -> str:
    return f"{1970 + number // 12}-{number % 12 + 1:02d}"
