"""The layouts of hindcasts and references, brought to one form each.

Hindcast: ``(start, lead, number, latitude, longitude)``. Reference: ``(time, latitude, longitude)``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from esai_core.errors import InputError
from esai_core.io import names
from esai_core.io.cf import standardise
from esai_core.io.read import Chunks, PathLike, find_files, open_dataset, rechunked

log = logging.getLogger(__name__)

HINDCAST_DIMS = ("start", "lead", "number", "latitude", "longitude")
REFERENCE_DIMS = ("time", "latitude", "longitude")
GRIB_ATTRS = ("GRIB_paramId", "GRIB_centre", "GRIB_system", "GRIB_dataType", "GRIB_stepType")
DAY = np.timedelta64(1, "D")


def open_hindcast(
    path: PathLike | Sequence[PathLike] | xr.Dataset,
    *,
    variable: str | None = None,
    chunks: Chunks = None,
    start: str | None = None,
    select: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Open a hindcast, of any layout, in the canonical form.

    Parameters
    ----------
    path : path, sequence of paths or Dataset
        New-CDS NetCDF, old-CDS daily NetCDF (one file per start), C3S GRIB, Zarr, or one of our own files.
        Several files are joined along `start`; starts with fewer members are padded with NaN members at the
        end.
    variable : str, optional
        Variable in any spelling; may be left out where the file holds one.
    chunks : mapping, optional
        Dask chunks.
    start : str, optional
        Start date of a file that does not tell it.
    select : mapping, optional
        Labels along other dimensions (``{"isobaricInhPa": 850}``).

    Returns
    -------
    xarray.DataArray
        ``(start, lead, number, latitude, longitude)`` with the coordinate ``valid_time(start, lead)``; lead
        has the units "months" (valid month = start + lead - 1) or "days" (valid day = start + lead).

    Raises
    ------
    InputError
        If it is no hindcast, or if its start cannot be known.
    """
    if isinstance(path, xr.Dataset):
        return rechunked(to_hindcast(path, variable, start=start, select=select), chunks)
    paths = find_files(path)
    if len(paths) > 1 and chunks is None:
        chunks = {}  # joining arrays that are not dask's would read them
    parts = []
    for p in paths:
        ds = open_dataset(p, variable=variable)
        parts.append(rechunked(to_hindcast(ds, variable, where=str(p), start=start, select=select), chunks))
    return parts[0] if len(parts) == 1 else join_starts(parts)


def open_reference(
    path: PathLike | Sequence[PathLike] | xr.Dataset,
    *,
    variable: str | None = None,
    chunks: Chunks = None,
    select: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Open a reference (a reanalysis or gridded observations) as ``(time, latitude, longitude)``.

    Parameters
    ----------
    path : path, sequence of paths or Dataset
        NetCDF, Zarr or GRIB; ``valid_time`` becomes ``time``, and ``expver`` is merged.
    variable : str, optional
        Variable in any spelling; may be left out where the file holds one.
    chunks : mapping, optional
        Dask chunks.
    select : mapping, optional
        Labels along other dimensions (``{"isobaricInhPa": 850, "number": 0}``).

    Raises
    ------
    InputError
        If it is a hindcast, or has other dimensions.
    """
    if isinstance(path, xr.Dataset):
        ds, where = standardise(path), names.source(path)
    else:
        ds = open_dataset(path, variable=variable, chunks=chunks)
        where = names.source(ds) or str(path)
    da = _selected(ds, variable, select, where)
    if "lead" in da.dims or ("start" in da.dims and "time" not in da.dims):
        told = [d for d in ("number", "start", "lead") if d in da.dims]
        raise InputError(
            f"this looks like a hindcast (it has {', '.join(told)}), where a reference is expected",
            where=where,
            remedy="swap data.hindcast and data.reference",
        )
    if "time" not in da.dims and "time" in da.coords and da["time"].ndim == 0:
        da = da.expand_dims("time")
    if "number" in da.dims and da.sizes["number"] > 1:
        raise InputError(
            f"{da.name} has {da.sizes['number']} members, where a reference is expected",
            where=where,
            remedy="choose one, or take their mean; a hindcast belongs in data.hindcast",
        )
    return _finished(_only(da, REFERENCE_DIMS, where), REFERENCE_DIMS, ds, where)


def to_hindcast(
    ds: xr.Dataset,
    variable: str | None = None,
    *,
    where: str | None = None,
    start: str | None = None,
    select: Mapping[str, Any] | None = None,
) -> xr.DataArray:
    """Bring a variable of an opened dataset to ``(start, lead, number, latitude, longitude)``, lazily.

    Layouts known: start and lead as dimensions, lead in months, days, hours or as a timedelta (new CDS, C3S
    GRIB, NMME); valid time and members of one start (old CDS, daily: the start is one step before the first
    valid time); members with lagged starts of their own (climate4R), placed under the latest of them, the
    nominal start. Lagged starts of C3S GRIB are indexed by nominal start already.

    Parameters and errors are those of :func:`open_hindcast`.
    """
    where = where or names.source(ds)
    ds = standardise(ds, where=where)
    da = _selected(ds, variable, select, where)
    if "number" in da.coords and da["number"].ndim == 0:
        da = da.drop_vars("number")
    if "lead" in da.dims or "lead" in da.coords or "start" in da.dims:
        da = _start_and_lead(da, where)
    elif "time" in da.dims and ("number" in da.dims or start is not None or "start" in da.coords):
        da = _valid_times_of_one_start(da, start, where)
    else:
        raise InputError(
            f"this looks like a reference (it has {', '.join(map(str, da.dims))} and no start, lead or "
            "members), where a hindcast is expected",
            where=where,
            remedy="swap data.hindcast and data.reference",
        )
    if "number" not in da.dims:
        da = da.expand_dims("number")
    if "number" not in da.coords:
        da = da.assign_coords(number=np.arange(da.sizes["number"]))
    da = _only(da, HINDCAST_DIMS, where)
    da = da.assign_coords(valid_time=valid_time(da["start"], da["lead"]))
    return _finished(da, HINDCAST_DIMS, ds, where)


def _selected(
    ds: xr.Dataset, variable: str | None, select: Mapping[str, Any] | None, where: str | None
) -> xr.DataArray:
    da = ds[names.find_variable(ds, variable, where=where)]
    for dim, label in (select or {}).items():
        if dim not in da.dims:
            raise InputError(
                f"cannot select {dim}={label}: {da.name} has {', '.join(map(str, da.dims))}", where=where
            )
        if label not in ds[dim].values:
            options = ", ".join(map(str, ds[dim].values[:20]))
            raise InputError(f"no {dim} {label}; the file has {options}", where=where)
        da = da.sel({dim: label}, drop=True)
    return da


def _only(da: xr.DataArray, dims: tuple[str, ...], where: str | None) -> xr.DataArray:
    """Drop dimensions of length one that are not among `dims`; refuse longer ones and missing ones."""
    da = da.squeeze([d for d in da.dims if d not in dims and da.sizes[d] == 1], drop=True)
    for dim in da.dims:
        if dim not in dims:
            values = ", ".join(map(str, da[dim].values[:8]))
            raise InputError(
                f"{da.name} has also the dimension {dim} ({values})", where=where, remedy=f"select one {dim}"
            )
    missing = [d for d in dims if d not in da.dims]
    if missing:
        raise InputError(
            f"{da.name} has no {', '.join(missing)}; it has {', '.join(map(str, da.dims))}", where=where
        )
    return da


def _finished(da: xr.DataArray, dims: tuple[str, ...], ds: xr.Dataset, where: str | None) -> xr.DataArray:
    keep = {*dims, "valid_time"} if "lead" in dims else set(dims)
    da = da.drop_vars([c for c in da.coords if c not in keep]).transpose(*dims)
    for name in keep & set(da.coords):
        units = {"units": da["lead"].attrs["units"]} if name == "lead" else {}
        da[name].attrs = {**names.COORDINATE_ATTRS[str(name)], **units}
    da.encoding = (
        {"source": where} if where else {}
    )  # not the packing of the file: a copy of it would be packed again
    da.attrs = {k: v for k, v in da.attrs.items() if not k.startswith("GRIB_") or k in GRIB_ATTRS}
    if "GRIB_centre" in ds.attrs:
        da.attrs["GRIB_centre"] = ds.attrs["GRIB_centre"]
    return da


def _start_and_lead(da: xr.DataArray, where: str | None) -> xr.DataArray:
    for name in ("start", "lead"):
        if name not in da.coords:
            raise InputError(f"the hindcast has no coordinate {name}", where=where)
        if da[name].ndim == 0:
            da = da.expand_dims(name)
    if da["start"].dtype.kind != "M":
        raise InputError(
            f"start is no date but {da['start'].dtype}", where=where, remedy="give it units 'days since ...'"
        )
    values, units = _lead_values(da["lead"], where)
    return da.assign_coords(lead=("lead", values, {"units": units}))


def _lead_values(lead: xr.DataArray, where: str | None) -> tuple[np.ndarray, str]:
    """Leads as integers with their unit, months or days."""
    units = str(lead.attrs.get("units", "")).lower()
    values = np.asarray(lead.values)
    text = f"{lead.attrs.get('long_name', '')} {lead.attrs.get('GRIB_name', '')}".lower()
    if values.dtype.kind == "m":
        days = values / DAY
    elif units in ("months", "month") or (units in ("1", "") and "month" in text):
        months = np.floor(values.astype(float)) + (1 if np.any(values % 1 == 0.5) else 0)
        return months.astype(np.int64), "months"
    elif units in ("hours", "hour", "h"):
        days = values.astype(float) / 24.0
    elif units in ("days", "day", "d"):
        days = values.astype(float)
    else:
        raise InputError(
            f"the unit of lead is not known (units {units!r}, values {values[:4]})",
            where=where,
            remedy='set its attribute "units" to "months" or "days"',
        )
    if np.any(np.abs(days - np.round(days)) > 1e-9):
        raise InputError(
            f"leads of {days[0]:g}, {days[min(1, days.size - 1)]:g} ... days",
            where=where,
            remedy="make daily values first: leads are whole days or months",
        )
    return np.round(days).astype(np.int64), "days"


def _valid_times_of_one_start(da: xr.DataArray, start: str | None, where: str | None) -> xr.DataArray:
    """One start with valid times along `time` (old CDS), or one start for each member (climate4R)."""
    times = da["time"].values.astype("datetime64[ns]")
    if str(da.attrs.get("GRIB_dataType", "")) == "an":
        raise InputError(
            "this is an ensemble of analyses, where a hindcast is expected",
            where=where,
            remedy="it has no start or lead",
        )
    if start is not None:
        nominal = np.datetime64(pd.Timestamp(start), "ns")
    elif "start" in da.coords:
        nominal = da["start"].values.astype("datetime64[ns]").max()
    else:
        steps = np.unique(np.diff(times))
        if steps.size != 1:
            raise InputError(
                f"the start cannot be known: {_day(times[0])} to {_day(times[-1])} in unequal steps",
                where=where,
                remedy="name the start, or give one file per start",
            )
        nominal = times[0] - steps[0]
    days = (times - nominal) / DAY
    if np.any(days < 0) or np.any(np.abs(days - np.round(days)) > 1e-9):
        raise InputError(
            f"valid times are not whole days after the start {_day(nominal)}",
            where=where,
            remedy="make daily values first: leads are whole days or months",
        )
    da = da.drop_vars([c for c in ("start", "time") if c in da.coords]).rename(time="lead")
    da = da.assign_coords(lead=("lead", np.round(days).astype(np.int64), {"units": "days"}))
    return da.expand_dims(start=xr.DataArray([nominal], dims="start"))


def _day(stamp: np.datetime64) -> str:
    return str(stamp.astype("datetime64[D]"))


def valid_time(start: xr.DataArray, lead: xr.DataArray) -> xr.DataArray:
    """Time that each lead is valid for.

    Months: the first day of the month `start + lead - 1`. Days: `start + lead`.

    Parameters
    ----------
    start : xarray.DataArray
        ``(start)``, datetime64.
    lead : xarray.DataArray
        ``(lead)``, integers, with the attribute units "months" or "days".

    Returns
    -------
    xarray.DataArray
        ``(start, lead)``, datetime64[ns].
    """
    units = lead.attrs.get("units")
    if units not in ("months", "days"):
        raise InputError(f"the unit of lead is {units!r}", remedy='expected "months" or "days"')
    starts = start.values.astype("datetime64[ns]")[:, None]
    steps = lead.values.astype(np.int64)[None, :]
    if units == "months":
        values = (starts.astype("datetime64[M]") + (steps - 1)).astype("datetime64[ns]")
    else:
        values = starts + steps * DAY
    attrs = {"standard_name": "time", "long_name": "time the forecast is valid for"}
    return xr.DataArray(
        values.astype("datetime64[ns]"), dims=("start", "lead"), attrs=attrs, name="valid_time"
    )


def join_starts(parts: Sequence[xr.DataArray]) -> xr.DataArray:
    """Join hindcasts of different starts along `start`, in order; missing members are NaN, at the end.

    Parameters
    ----------
    parts : sequence of xarray.DataArray
        Canonical hindcasts on one grid.

    Raises
    ------
    InputError
        If grids, leads or units differ, or if a start occurs twice.
    """
    first = parts[0]
    for part in parts[1:]:
        for name in ("latitude", "longitude", "lead"):
            if part[name].size != first[name].size or not np.allclose(part[name].values, first[name].values):
                raise InputError(f"{name} differs between the files", where=_pair(first, part))
        for attr, a, b in (
            ("units", first.attrs.get("units"), part.attrs.get("units")),
            ("units of lead", first["lead"].attrs["units"], part["lead"].attrs["units"]),
        ):
            if a != b:
                raise InputError(
                    f"{attr} differ between the files: {a!r} and {b!r}", where=_pair(first, part)
                )
    most = max(parts, key=lambda part: part.sizes["number"])
    padded = []
    for part in parts:
        part = part.assign_coords({name: first[name] for name in ("latitude", "longitude", "lead")})
        part = part.assign_coords(number=np.arange(part.sizes["number"]))
        missing = most.sizes["number"] - part.sizes["number"]
        if missing:
            log.info(
                "%s: %d members padded to %d",
                _day(part["start"].values[0]),
                part.sizes["number"],
                most.sizes["number"],
            )
            part = part.pad(number=(0, missing), constant_values=np.nan)
            part = part.assign_coords(number=np.arange(part.sizes["number"]))
        padded.append(part.drop_vars("valid_time"))
    joined = xr.concat(
        padded, "start", coords="minimal", compat="override", join="override", combine_attrs="override"
    )
    index = joined.indexes["start"]
    if not index.is_unique:
        raise InputError(
            f"start {index[index.duplicated()][0]} occurs in two files", where=_pair(first, parts[1])
        )
    joined = joined.isel(start=np.argsort(index.values, kind="stable"))
    joined = joined.assign_coords(number=most["number"].values)
    joined.encoding = {"source": names.source(first) or ""}
    return joined.assign_coords(valid_time=valid_time(joined["start"], joined["lead"]))


def _pair(a: xr.DataArray, b: xr.DataArray) -> str | None:
    found = [s for s in (names.source(a), names.source(b)) if s]
    return " and ".join(found) or None
