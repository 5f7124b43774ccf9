"""Forecasts and observations from NetCDF: of stations, or of a grid that is interpolated to stations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core.errors import InputError, UsageError, nearest
from esai_core.io import open_dataset

__all__ = ["read_grid", "to_stations"]


def to_stations(field: xr.DataArray, stations: pd.DataFrame, *, where: object = None) -> xr.DataArray:
    """Interpolate a field to stations, bilinearly.

    Parameters
    ----------
    field : DataArray
        With ``latitude`` and ``longitude``, in either order and direction; longitudes 0 to 360 or -180 to
        180.
    stations : DataFrame
        ``latitude`` and ``longitude`` by station.
    where : object
        File to name in an error.

    Returns
    -------
    DataArray
        With ``station`` in their place.

    Raises
    ------
    InputError
        If a station lies outside the grid.
    """
    field = field.sortby(["latitude", "longitude"])
    west = float(field["longitude"][0])
    lon = west + np.mod(stations["longitude"].to_numpy(np.float64) - west, 360.0)
    lat = stations["latitude"].to_numpy(np.float64)
    east, south, north = (
        float(x) for x in (field["longitude"][-1], field["latitude"][0], field["latitude"][-1])
    )
    outside = (lon > east) | (lat < south) | (lat > north)
    if outside.any():
        first = stations.index[outside][0]
        raise InputError(
            f"{int(outside.sum())} stations lie outside the grid, such as {first!r}",
            where=where,
            remedy="remove them from data.stations, or give a larger area",
        )
    row, up = _between(field["latitude"].values, lat)
    column, right = _between(field["longitude"].values, lon)
    sides = [
        _plain(field.isel(latitude=row + i, longitude=column)) * (1 - right)
        + _plain(field.isel(latitude=row + i, longitude=column + 1)) * right
        for i in (0, 1)
    ]
    found = sides[0] * (1 - up) + sides[1] * up
    return found.assign_coords(station=stations.index.to_numpy(str))


def _plain(values: xr.DataArray) -> xr.DataArray:
    return values.drop_vars(["latitude", "longitude"])


def _between(nodes: np.ndarray, points: np.ndarray) -> tuple[xr.DataArray, xr.DataArray]:
    """Give the node before each point and the part of the way to the next."""
    before = np.clip(np.searchsorted(nodes, points, side="right") - 1, 0, len(nodes) - 2)
    part = (points - nodes[before]) / (nodes[before + 1] - nodes[before])
    return xr.DataArray(before, dims="station"), xr.DataArray(part, dims="station")


def read_grid(
    path: Path, name: str | None, meteorology: Sequence[str], stations: pd.DataFrame | None
) -> pd.DataFrame:
    """Read NetCDF as a long table: time, station, value, and the meteorology.

    Parameters
    ----------
    path : Path
        NetCDF with ``(time, station)`` or ``(time, latitude, longitude)``; or a folder of such files, one for
        each run, whose leads are then told apart. A CAMS file whose time counts from the run (a timedelta)
        needs the attribute ``FORECAST`` of its time or of the file: the run's date.
    name : str, optional
        Variable; the only one by default.
    meteorology : sequence of str
        Further variables.
    stations : DataFrame, optional
        Where to interpolate a grid to.

    Returns
    -------
    DataFrame
        Of a folder with ``lead``: 1 on the day of the run.

    Raises
    ------
    InputError
        For times without a date, an unknown variable, a station outside the grid.
    UsageError
        For a grid without stations to interpolate to.
    """
    if not path.is_dir():
        return _read_run(path, name, meteorology, stations)
    files = sorted(file for file in path.iterdir() if file.suffix in (".nc", ".nc4"))
    if not files:
        raise InputError("no NetCDF file in this folder", where=path)
    tables = []
    for file in files:
        table = _read_run(file, name, meteorology, stations)
        run = table["time"].min().floor("D")
        tables.append(table.assign(lead=(table["time"].dt.floor("D") - run).dt.days + 1))
    return pd.concat(tables, ignore_index=True)


def _read_run(
    path: Path, name: str | None, meteorology: Sequence[str], stations: pd.DataFrame | None
) -> pd.DataFrame:
    ds = open_dataset(path, standard=False)
    spelt = {"lat": "latitude", "lon": "longitude"}
    ds = ds.rename({old: new for old, new in spelt.items() if old in ds.variables or old in ds.dims})
    for odd in ("level", "height"):
        if odd in ds.dims:
            ds = ds.isel({odd: 0}, drop=True)
    known = [str(n) for n in ds.data_vars]
    if name is None:
        if len(known) != 1:
            raise UsageError(f"{len(known)} variables: {', '.join(known[:8])}", where=path, remedy="name one")
        name = known[0]
    for wanted in (name, *meteorology):
        if wanted not in ds:
            raise InputError(f"no variable {wanted!r}", where=path, remedy=nearest(wanted, known))
    ds = _dated(ds[[name, *meteorology]], path)
    if "station" not in ds.dims:
        if "latitude" not in ds.dims:
            raise InputError(
                "neither stations nor a grid", where=path, remedy="dims time and station, or a grid"
            )
        if stations is None:
            raise UsageError(
                "a grid needs stations to interpolate to", where=path, remedy="set data.stations"
            )
        ds = xr.Dataset({n: to_stations(ds[n], stations, where=path) for n in ds.data_vars})
    if ds.indexes["time"].has_duplicates:
        raise InputError(
            f"duplicated stamps, such as {ds.indexes['time'][ds.indexes['time'].duplicated()][0]}", where=path
        )
    table = ds.to_dataframe().reset_index().rename(columns={name: "value"})
    table["station"] = table["station"].astype(str)
    return table[["time", "station", "value", *meteorology]]


def _dated(ds: xr.Dataset, path: Path) -> xr.Dataset:
    """Give times a date where they count from the run."""
    if ds["time"].dtype.kind == "M":
        return ds
    said = str(ds["time"].attrs.get("long_name", "")) + " " + str(ds.attrs.get("FORECAST", ""))
    digits = next(
        (word for word in said.replace("+", " ").split() if word[:8].isdigit() and len(word) >= 8), None
    )
    if digits is None or ds["time"].dtype.kind not in "mfiu":
        raise InputError(
            "times count from a run whose date the file does not give",
            where=path,
            remedy="the attribute FORECAST, as 'Europe, 20230401+[0H_96H]'",
        )
    since = ds["time"].values
    if since.dtype.kind != "m":
        since = pd.to_timedelta(since, unit="h").to_numpy()
    return ds.assign_coords(time=pd.Timestamp(digits[:8]).to_datetime64() + since)
