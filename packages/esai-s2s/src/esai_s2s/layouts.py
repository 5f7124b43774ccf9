"""Layouts of sub-seasonal files, brought to one: dims start, number, lead (days) or window, cells.

Read are: SubX and climetlab/earthkit (``forecast_time, realization, lead_time``), ECMWF S2S with two date
axes (the hindcast year and the model version date), files of one window (``time, realization``) and of
(``window``), each in NetCDF, Zarr or GRIB.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from esai_core.errors import InputError, nearest
from esai_core.io import open_dataset
from esai_core.io.read import find_files

__all__ = ["NAMES", "flatten_dates", "open_layout", "take_variable"]

NAMES = {
    "start": (
        "start",
        "forecast_time",
        "forecast_reference_time",
        "start_date",
        "S",
        "init",
        "init_time",
        "hdate",
    ),
    "number": ("number", "realization", "member", "ensemble", "M", "ens"),
    "lead": ("lead", "lead_time", "step", "leadtime", "L", "forecast_period"),
    "window": ("window",),
    "latitude": ("latitude", "lat", "Y"),
    "longitude": ("longitude", "lon", "X"),
    "time": ("time", "valid_time"),
}
"""Dimension to the names it goes by; the first that a file has counts."""

VERSION = ("model_version_date", "version_date", "model_date", "forecast_dayofyear")
HINDCAST_YEAR = ("hindcast_year", "hyear", "year")


def open_layout(path: Path, *, chunks: dict[str, int] | None = None) -> xr.Dataset:
    """Open a file with its dimensions renamed to those of this module; lazily.

    Parameters
    ----------
    path : Path
        NetCDF, Zarr or GRIB; or a folder of files of other starts, members or days.
    chunks : dict, optional
        Dask chunks by the file's own dimensions.

    Returns
    -------
    Dataset
        With ``start`` (datetime64), ``lead`` (whole days, int64), ``number``, ``window``, ``latitude``,
        ``longitude`` and ``time``, as far as the file has them.

    Raises
    ------
    InputError
        If the file cannot be read, dates are repeated, or leads are no whole days.
    """
    files = find_files(path)
    if len(files) > 1:
        return _joined([open_layout(file, chunks=chunks or {}) for file in files], path)
    ds = open_dataset(path, standard=False, chunks=chunks)
    ds = flatten_dates(ds, where=path)
    renamed = {}
    for canonical, names in NAMES.items():
        found = [name for name in names if name in ds.dims and name not in renamed]
        if found and canonical not in ds.dims:
            renamed[found[0]] = canonical
    ds = ds.rename(renamed)
    if (
        "time" in ds.dims
        and "start" not in ds.dims
        and ({"number", "lead", "window"} & set(map(str, ds.dims)))
    ):
        clash = [name for name in ("start",) if name in ds.variables]
        ds = ds.drop_vars(clash).rename(time="start")
    if "start" in ds.dims:
        ds = _checked_starts(ds, path)
    if "lead" in ds.dims:
        ds = ds.assign_coords(lead=_days(ds["lead"], path))
    return ds


def _joined(parts: list[xr.Dataset], path: Path) -> xr.Dataset:
    """Join files of other members (the control run is one), starts, or days of a series."""
    parts = [
        ds.expand_dims("number") if "number" in ds.coords and not ds["number"].dims else ds for ds in parts
    ]
    axis = "start" if all("start" in ds.dims for ds in parts) else "time"
    if not all(axis in ds.dims for ds in parts):
        raise InputError("the files of this folder have no dates in common", where=path)
    together: dict[bytes, list[xr.Dataset]] = {}
    for ds in parts:
        together.setdefault(ds[axis].values.tobytes(), []).append(ds)
    rows = []
    for same in together.values():
        if len(same) > 1 and not all("number" in ds.dims for ds in same):
            raise InputError("two files of this folder hold the same dates", where=path)
        rows.append(same[0] if len(same) == 1 else _concatenated(same, "number", path))
    joined = rows[0] if len(rows) == 1 else _concatenated(rows, axis, path)
    dates = joined[axis].values
    if len(np.unique(dates)) < len(dates):
        raise InputError("dates are repeated in the files of this folder", where=path)
    return joined.sortby(axis)


def _concatenated(parts: list[xr.Dataset], dim: str, path: Path) -> xr.Dataset:
    try:
        return xr.concat(
            parts, dim, coords="minimal", compat="override", join="outer", combine_attrs="override"
        )
    except ValueError as error:
        raise InputError(
            f"the files of this folder do not join ({' '.join(str(error).split())[:150]})", where=path
        ) from error


def flatten_dates(ds: xr.Dataset, *, where: object = None) -> xr.Dataset:
    """Join the two date axes of an S2S hindcast, model version date and hindcast year, to one start axis.

    The start is the month and day of the version date in the hindcast year. A version date of 29 February has
    no start in most years: these starts are left out.

    Parameters
    ----------
    ds : Dataset
        With a dimension of `VERSION` (dates) and one of `HINDCAST_YEAR` (years, or years before the version
        as negative numbers or 1, 2, ...); anything else is given back as it is.
    where : object
        Named in errors.
    """
    version = next((n for n in (*VERSION, "forecast_time", "time") if n in ds.dims), None)
    year = next((n for n in HINDCAST_YEAR if n in ds.dims), None)
    if version is None or year is None or ds[version].dtype.kind != "M":
        return ds
    years = np.asarray(ds[year].values)
    if years.dtype.kind == "M":
        years = years.astype("datetime64[Y]").astype(np.int64) + 1970
    dates = ds[version].values.astype("datetime64[D]")
    starts, keep = [], []
    for i, date in enumerate(dates):
        own = int(date.astype("datetime64[Y]").astype(int)) + 1970
        text = str(date)[4:]
        for j, value in enumerate(years):
            chosen = int(value) if value > 200 else own - abs(int(value))
            leap = chosen % 4 == 0 and (chosen % 100 != 0 or chosen % 400 == 0)
            if text == "-02-29" and not leap:
                continue
            starts.append(np.datetime64(f"{chosen}{text}"))
            keep.append(i * len(years) + j)
    if not starts:
        raise InputError("no start is left of the two date axes", where=where)
    stacked = ds.stack(start=(version, year)).isel(start=keep).drop_vars([version, year, "start"])
    return stacked.assign_coords(start=np.array(starts, dtype="datetime64[ns]"))


def _from_day(da: xr.DataArray) -> xr.DataArray:
    """Count leads from the beginning of a day: GRIB names a daily mean by the end of its day."""
    if "lead" in da.dims and da.attrs.get("GRIB_stepType") in ("avg", "max", "min"):
        return da.assign_coords(lead=da["lead"].values - 1)
    return da


def _checked_starts(ds: xr.Dataset, path: Path) -> xr.Dataset:
    starts = ds["start"].values
    if starts.dtype.kind != "M":
        if starts.dtype.kind in "iu" and starts.min() > 1600 and starts.max() < 2400:
            starts = np.array([np.datetime64(f"{year}-01-01") for year in starts])
        else:
            raise InputError(f"starts are {starts.dtype}, not dates", where=path)
    starts = starts.astype("datetime64[ns]")
    if len(np.unique(starts)) < len(starts):
        raise InputError("start dates are repeated", where=path, remedy="keep each start once")
    return ds.assign_coords(start=starts).sortby("start")


def _days(lead: xr.DataArray, path: Path) -> np.ndarray:
    values = lead.values
    if values.dtype.kind == "m":
        hours = values / np.timedelta64(1, "h")
        days = hours / 24.0
    else:
        units = str(lead.attrs.get("units", "days")).lower()
        days = values.astype(np.float64) / (24.0 if units.startswith("hour") else 1.0)
    if np.allclose(days % 1.0, 0.5):  # the middle of the day: day l is l + 0.5
        days = days - 0.5
    if not np.allclose(days, np.round(days)):
        raise InputError("leads are no whole days", where=path, remedy="average to days first")
    return np.round(days).astype(np.int64)


def take_variable(ds: xr.Dataset, variable: str, *, role: str, alone: bool, where: object) -> xr.DataArray:
    """Find a variable as forecast or as observation.

    Parameters
    ----------
    ds : Dataset
        Of `open_layout`.
    variable : str
        Name in the config.
    role : {"forecast", "observation"}
        For observations ``<variable>_obs`` comes first, then ``obs`` where `alone`, then the name itself; for
        forecasts the name, then ``forecast`` where `alone`.
    alone : bool
        Whether the config names one variable only.
    where : object
        Named in errors.

    Raises
    ------
    InputError
        If there is none.
    """
    names = [f"{variable}_obs"] if role == "observation" else [variable]
    if alone:
        names.append("obs" if role == "observation" else "forecast")
    names.append(variable)
    for name in names:
        if name in ds.data_vars:
            return _from_day(ds[name])
    raise InputError(
        f"no {role} {variable!r}",
        where=where,
        remedy=nearest(variable, map(str, ds.data_vars)) or f"it has {', '.join(map(str, ds.data_vars))}",
    )
