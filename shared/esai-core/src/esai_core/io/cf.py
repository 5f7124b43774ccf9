"""One data model out of many conventions: names, longitudes, latitudes, ``expver``, calendars."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.io import names
from esai_core.io.units import normalise_units

if TYPE_CHECKING:
    from collections.abc import Hashable

log = logging.getLogger(__name__)

SCALARS = ("surface", "step", "heightAboveGround", "height", "depthBelowLandLayer", "meanSea", "expver")


def standardise(ds: xr.Dataset, *, where: str | None = None) -> xr.Dataset:
    """Bring a dataset to the canonical data model, lazily.

    Names of dimensions and coordinates (``latitude longitude time start lead number``), longitudes in [-180,
    180) (a domain that this would tear apart at the date line stays contiguous), both ascending, ``expver``
    merged, calendars to ``datetime64[ns]``, units in one spelling.

    Parameters
    ----------
    ds : xarray.Dataset
        As opened, from any producer.
    where : str, optional
        File named in errors; by default the dataset's source.

    Returns
    -------
    xarray.Dataset
        Same data, canonical names and orders. Applying it twice changes nothing.

    Raises
    ------
    InputError
        For curvilinear grids, duplicate coordinates, and dates that no standard calendar has.
    """
    where = where or names.source(ds)
    ds = rename_coordinates(ds, where=where)
    ds = merge_expver(ds)
    ds = standard_calendar(ds, where=where)
    ds = _sorted_horizontal(ds, where=where)
    for name in ("time", "start", "lead", "number"):
        if name in ds.indexes:
            ds = _ascending(ds, name, where=where)
    return _normalise_attrs(ds)


def rename_coordinates(ds: xr.Dataset, *, where: str | None = None) -> xr.Dataset:
    """Give coordinates their canonical names: from standard names and units, then from usual names."""
    found: dict[str, list[str]] = {}
    for name in [str(n) for n in (*ds.coords, *(d for d in ds.dims if d not in ds.coords))]:
        role = _role(ds, name)
        if role:
            found.setdefault(role, []).append(name)
    chosen = {role: _choose(ds, role, options) for role, options in found.items()}
    renames: dict[Hashable, str] = {n: role for role, n in chosen.items() if n is not None and n != role}
    for role in [r for r in renames.values() if r not in renames]:
        if role in ds.dims:  # another axis has the name already
            renames = {n: other for n, other in renames.items() if other != role}
        else:
            ds = ds.drop_vars(role, errors="ignore")
    ds = ds.rename(renames)
    for name in ("latitude", "longitude"):
        if name in ds.coords and ds[name].ndim == 2:
            raise InputError(
                f"the grid is curvilinear: {name} has the dims ({', '.join(map(str, ds[name].dims))})",
                where=where,
                remedy="regrid it to a regular latitude-longitude grid first (cdo remapbil)",
            )
        if name in ds.coords and ds[name].ndim == 1 and ds[name].dims != (name,):
            dim = ds[name].dims[0]
            if dim in ("y", "x", "lat", "lon", "rlat", "rlon"):
                ds = ds.swap_dims({dim: name})
    return ds


def _role(ds: xr.Dataset, name: str) -> str | None:
    """Canonical name of a coordinate, or None; analyses may say forecast_reference_time of their ``time``."""
    attrs: dict[str, Any] = dict(ds[name].attrs) if name in ds.coords else {}
    low = name.lower()
    units = str(attrs.get("units", "")).lower()
    standard = names.STANDARD_NAMES.get(str(attrs.get("standard_name", "")))
    if units in ("degrees_north", "degree_north", "degree_n", "degrees_n"):
        return "latitude"
    if units in ("degrees_east", "degree_east", "degree_e", "degrees_e"):
        return "longitude"
    by_name = next((key for key, aliases in names.COORDINATES.items() if low == key or low in aliases), None)
    if name in names.COORDINATES and name != "time":
        return name
    if by_name in ("time", "start") and standard in ("time", "start"):
        if standard == "start" and by_name == "time" and not _has_lead(ds):
            return "time"
        return standard if by_name == "time" else by_name
    return standard or by_name


def _has_lead(ds: xr.Dataset) -> bool:
    leads = names.COORDINATES["lead"]
    return any(str(d).lower() in leads or d == "lead" for d in ds.dims)


def _choose(ds: xr.Dataset, role: str, options: list[str]) -> str | None:
    """Of the coordinates of one role the one that is a dimension; valid_time(start, lead) is no axis."""
    dims = [n for n in options if n in ds.dims]
    if role in dims:
        return role
    if dims:
        return dims[0]
    if role == "time":
        # a single time; valid_time(start, lead) of a hindcast is dropped later and computed again
        scalars = [n for n in options if n in ds.coords and ds[n].ndim == 0]
        return role if role in scalars else next(iter(scalars), None)
    if role == "lead":
        return next((n for n in options if ds[n].ndim == 0 and n.lower() not in ("step",)), None)
    return options[0]


def merge_expver(ds: xr.Dataset) -> xr.Dataset:
    """Merge final ERA5 (``expver`` 1, 0001) with preliminary ERA5T (5, 0005): final where there is one.

    Older CDS files give `expver` as a dimension, newer ones as a coordinate along time.
    """
    if "expver" not in ds.coords and "expver" not in ds.dims:
        return ds
    if "expver" in ds.dims:
        versions_in_order = list(range(ds.sizes["expver"]))
        if "expver" in ds.coords:
            versions_in_order.sort(key=lambda i: _expver_number(ds["expver"].values[i]))
        merged = ds.isel(expver=versions_in_order[0], drop=True)
        for i in versions_in_order[1:]:
            merged = merged.fillna(ds.isel(expver=i, drop=True))
        for name in merged.variables:
            merged[name].attrs = dict(ds[name].attrs)
        merged.encoding = dict(ds.encoding)
        return merged
    versions = ds["expver"]
    ds = ds.drop_vars("expver")
    if versions.ndim == 1 and versions.dims[0] in ds.indexes:
        dim = versions.dims[0]
        number = np.array([_expver_number(v) for v in versions.values])
        index = ds.indexes[dim]
        if not index.is_unique:
            order = np.lexsort((number, np.asarray(index)))
            keep = order[~np.asarray(index[order].duplicated(keep="first"))]
            log.info("kept the final version of %d %s stamps found twice", len(order) - len(keep), dim)
            ds = ds.isel({dim: np.sort(keep)})
    return ds


def _expver_number(value: Any) -> int:
    text = value.decode() if isinstance(value, bytes) else str(value)
    return int(text) if text.strip().isdigit() else 9999


def standard_calendar(ds: xr.Dataset, *, where: str | None = None) -> xr.Dataset:
    """Turn dates of other calendars (``cftime``) into ``datetime64[ns]``, where each of them exists there.

    Monthly means of a 360-day calendar are stamped on the first day of their month.

    Raises
    ------
    InputError
        If a date such as 30 February is needed.
    """
    import pandas as pd

    for name in [str(n) for n in ds.variables]:
        variable = ds[name]
        if variable.dtype != object or variable.size == 0 or not hasattr(variable.values.flat[0], "calendar"):
            if variable.dtype.kind == "M" and variable.dtype != "datetime64[ns]":
                ds = ds.assign_coords({name: variable.astype("datetime64[ns]")})
            continue
        dates = variable.values.ravel()
        calendar = dates[0].calendar
        months = [(d.year, d.month) for d in dates]
        monthly = len(set(months)) == len(months)
        try:
            values = [pd.Timestamp(d.year, d.month, d.day, d.hour, d.minute, d.second) for d in dates]
        except (ValueError, pd.errors.OutOfBoundsDatetime) as error:
            if not monthly:
                raise InputError(
                    f"{name} is in the calendar {calendar!r}, with dates that do not exist ({error})",
                    where=where,
                    remedy="convert it to the standard calendar first (convert_calendar of xarray)",
                ) from error
            values = [pd.Timestamp(year, month, 1) for year, month in months]
        array = np.array(values, dtype="datetime64[ns]").reshape(variable.shape)
        attrs = {**variable.attrs, "source_calendar": calendar}
        ds = ds.assign_coords({name: (variable.dims, array, attrs)})
    return ds


def _sorted_horizontal(ds: xr.Dataset, *, where: str | None) -> xr.Dataset:
    """Latitude ascending; longitude wrapped and ascending."""
    if "latitude" in ds.indexes:
        ds = ds.assign_coords(latitude=("latitude", exact(ds["latitude"].values), ds["latitude"].attrs))
        outside = np.abs(ds["latitude"].values) > 90.001
        if outside.any():
            raise InputError(
                f"latitude {ds['latitude'].values[outside][0]:g} lies beyond the pole", where=where
            )
        ds = _ascending(ds, "latitude", where=where)
    if "longitude" in ds.indexes:
        values = wrap_longitude(exact(ds["longitude"].values))
        ds = ds.assign_coords(longitude=("longitude", values, ds["longitude"].attrs))
        ds = _ascending(ds, "longitude", where=where)
    return ds


def exact(values: np.ndarray) -> np.ndarray:
    """Coordinate values as float64, without the noise of a float32 file (0.1 and not 0.10000000149)."""
    if values.dtype == np.float32:  # the shortest decimal number that the float stands for
        values = np.array([float(np.format_float_positional(v, unique=True)) for v in values])
    return np.round(values.astype(float), 10) + 0.0


def wrap_longitude(values: np.ndarray) -> np.ndarray:
    """Longitudes in [-180, 180), or contiguous past 180 where the domain crosses the date line.

    The domain is read as the circle less its widest gap: 0...40, 348...359 is -12...40, and 170...190 stays.
    """
    wrapped = np.round((values + 180.0) % 360.0 - 180.0, 10)
    ordered = np.unique(wrapped)
    if ordered.size < 2:
        return wrapped
    gaps = np.diff(ordered, append=ordered[0] + 360.0)
    if gaps.max() - gaps[-1] < 1e-6 or gaps.max() < 1.5 * np.median(gaps):
        return wrapped
    first = ordered[int(np.argmax(gaps)) + 1]
    return np.round(np.where(wrapped < first - 1e-9, wrapped + 360.0, wrapped), 10)


def _ascending(ds: xr.Dataset, name: str, *, where: str | None) -> xr.Dataset:
    index = ds.indexes[name]
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise InputError(f"{name} {twice} occurs twice", where=where, remedy="remove the duplicate")
    if index.is_monotonic_increasing:
        return ds
    if index.is_monotonic_decreasing:
        return ds.isel({name: slice(None, None, -1)})
    return ds.isel({name: np.argsort(np.asarray(index), kind="stable")})


def _normalise_attrs(ds: xr.Dataset) -> xr.Dataset:
    ds = ds.drop_vars([n for n in SCALARS if n in ds.coords and ds[n].ndim == 0]).copy(deep=False)
    for name, variable in ds.variables.items():
        if name in ("latitude", "longitude"):
            variable.attrs = dict(names.COORDINATE_ATTRS[str(name)])
            continue
        if variable.attrs.get("standard_name") == "unknown":  # cfgrib's word for none
            variable.attrs = {k: v for k, v in variable.attrs.items() if k != "standard_name"}
        units = variable.attrs.get("units") or variable.attrs.get("GRIB_units")
        if units is not None and variable.dtype.kind not in "mM":
            variable.attrs = {**variable.attrs, "units": normalise_units(str(units))}
    return ds
