"""Sentinel-5P files of many days brought to daily fields on one grid."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from esai_airquality.no2.gridding import Gridder
from esai_airquality.no2.s5p import read_s5p
from esai_core.errors import InputError
from esai_core.grid import Grid

__all__ = ["COLUMN", "daily_columns", "find_swaths"]

log = logging.getLogger(__name__)

COLUMN = "no2_column"
"""Name of the predictor that swaths give: the tropospheric column, 1e15 molecules/cm2."""
SCALE = 1e15


def find_swaths(path: str | Path) -> list[Path]:
    """List the files of a folder, of a glob pattern, or one file.

    Raises
    ------
    InputError
        If there is none.
    """
    place = Path(path)
    if place.is_dir():
        found = sorted(place.glob("*.nc"))
    else:
        found = [place] if place.is_file() else sorted(place.parent.glob(place.name))
    if not found:
        fault = "no Sentinel-5P files here" if place.exists() else "no such file or folder"
        raise InputError(fault, where=path, remedy="name a folder with .nc files")
    return found


def daily_columns(files: Sequence[Path], grid: Grid, *, qa: float = 0.75) -> xr.Dataset:
    """Grid the good pixels of files, all orbits of a UTC day together.

    Parameters
    ----------
    files : sequence of Path
        L2 NO2 files, in any order.
    grid : Grid
        Cells to fill.
    qa : float
        Pixels need a ``qa_value`` above this.

    Returns
    -------
    Dataset
        ``(time, latitude, longitude)``: ``no2_column`` and ``no2_column_error`` (1e15 molecules/cm2),
        ``no2_column_weight`` (area seen over area of the cell). Every day from the first to the last is
        there,
        NaN where nothing was seen.

    Raises
    ------
    InputError
        If no good pixel lies on the grid.
    """
    gridders: dict[np.datetime64, Gridder] = {}
    pixels = 0
    for file in files:
        swath = read_s5p(file, qa=qa)
        near = _near(swath.latitude, swath.longitude, grid)
        swath = swath.take(near)
        pixels += len(swath)
        days = swath.time.astype("datetime64[D]")
        for day in np.unique(days):
            part = swath.take(days == day)
            gridder = gridders.setdefault(day, Gridder(grid))
            gridder.add(part.latitude, part.longitude, part.column, part.precision)
    if not pixels:
        raise InputError(
            f"no pixel above qa {qa:g} of {len(files)} files lies on the grid", where=files[0].parent,
            remedy=f"the grid is {grid.describe()}",
        )  # fmt: skip
    log.info("gridded %d pixels of %d files", pixels, len(files))
    first, last = min(gridders), max(gridders)
    days = np.arange(first, last + np.timedelta64(1, "D"))
    made = {
        name: np.full((len(days), *grid.shape), 0.0 if name == "weight" else np.nan)
        for name in ("mean", "error", "weight")
    }
    for number, day in enumerate(days):
        if day in gridders:
            result = gridders[day].result()
            for name, values in made.items():
                values[number] = getattr(result, name)
    dims = ("time", "latitude", "longitude")
    units = {"units": "1e15 molecules cm-2"}
    return xr.Dataset(
        {
            COLUMN: (dims, made["mean"] / SCALE, {**units, "long_name": "tropospheric NO2 column"}),
            f"{COLUMN}_error": (dims, made["error"] / SCALE, {**units, "long_name": "its standard error"}),
            f"{COLUMN}_weight": (
                dims, made["weight"], {"units": "1", "long_name": "area seen over area of the cell"}
            ),
        },
        {"time": days.astype("datetime64[ns]"), **grid.coords()},
    )  # fmt: skip


def _near(latitude: np.ndarray, longitude: np.ndarray, grid: Grid) -> np.ndarray:
    """Mark pixels that may touch the grid."""
    lat, lon = grid.latitude_bounds, grid.longitude_bounds
    inside = (latitude.max(axis=1) > lat.min()) & (latitude.min(axis=1) < lat.max())
    middle, half = 0.5 * (lon.min() + lon.max()), 0.5 * (lon.max() - lon.min())
    away = np.abs((longitude - middle + 180) % 360 - 180).min(axis=1)
    width = np.abs((longitude - longitude[:, :1] + 180) % 360 - 180).max(axis=1)
    return np.asarray(inside & (away <= half + width))
