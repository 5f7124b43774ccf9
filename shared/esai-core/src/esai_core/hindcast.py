"""Hindcasts ``(start, lead, number, latitude, longitude)``: valid times, references, climatologies, drift."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.io.layouts import HINDCAST_DIMS, join_starts, to_hindcast, valid_time

__all__ = [
    "HINDCAST_DIMS",
    "anomalies",
    "climatology",
    "deaccumulate",
    "drift",
    "ensemble_mean",
    "join_starts",
    "match_reference",
    "start_years",
    "to_hindcast",
    "trend_covariate",
    "valid_time",
]

log = logging.getLogger(__name__)


def match_reference(hindcast: xr.DataArray, reference: xr.DataArray) -> xr.DataArray:
    """Take the reference at the valid time of each start and lead.

    Parameters
    ----------
    hindcast : xarray.DataArray
        ``(start, lead, ...)``; only its times are used, so the grids may differ.
    reference : xarray.DataArray
        ``(time, ...)``, monthly for leads in months, daily for leads in days.

    Returns
    -------
    xarray.DataArray
        ``(start, lead, ...)`` with the coordinate ``valid_time``; NaN where the reference does not reach.

    Raises
    ------
    InputError
        If they have no time in common (both ranges are named), or if the reference is not of the lead's
        frequency.
    """
    units = hindcast["lead"].attrs.get("units")
    valid = valid_time(hindcast["start"], hindcast["lead"])
    step = {"months": "M", "days": "D"}[str(units)]
    have = reference["time"].values.astype(f"datetime64[{step}]").astype(np.int64)
    order = np.argsort(have, kind="stable")
    if np.any(np.diff(have[order]) == 0):
        every = "month" if step == "M" else "day"
        raise InputError(
            f"the reference has several times in one {every}, but leads are in {units}",
            where=f"{reference.name}: {_range(reference['time'].values)}",
            remedy=f"make it {'monthly' if step == 'M' else 'daily'} first",
        )
    want = valid.values.astype(f"datetime64[{step}]").astype(np.int64)
    found = np.searchsorted(have[order], want)
    found = np.clip(found, 0, have.size - 1)
    index = order[found]
    hit = have[index] == want
    if not hit.any():
        raise InputError(
            f"no common years: the hindcast is valid {_range(valid.values)}, the reference covers "
            f"{_range(reference['time'].values)}"
        )
    if not hit.all():
        log.info(
            "%d of %d start-lead pairs lie outside the reference and stay missing",
            int((~hit).sum()),
            hit.size,
        )
    out = reference.isel(time=xr.DataArray(index, dims=("start", "lead"))).drop_vars("time")
    out = out.assign_coords(start=hindcast["start"], lead=hindcast["lead"], valid_time=valid)
    rest = [d for d in reference.dims if d != "time"]
    out = out.transpose("start", "lead", *rest)
    return out if hit.all() else out.where(xr.DataArray(hit, dims=("start", "lead")))


def ensemble_mean(hindcast: xr.DataArray) -> xr.DataArray:
    """Mean over the members that are there, with the attributes kept."""
    return hindcast.mean("number", keep_attrs=True)


def deaccumulate(hindcast: xr.DataArray) -> xr.DataArray:
    """Turn amounts accumulated since the start into amounts per day.

    Parameters
    ----------
    hindcast : xarray.DataArray
        ``(start, lead, ...)``, leads 1, 2, 3 ... days: total precipitation as the Climate Data Store gives
        it.

    Returns
    -------
    xarray.DataArray
        Same dims and units; the first day keeps its amount, be it zero. Files packed in 16 bits step back by
        a few of their units (0.2 mm in SEAS5): such amounts are set to zero.

    Raises
    ------
    InputError
        If leads are not consecutive days from 1, or if the amounts fall, so that they were not accumulated.
    """
    lead = hindcast["lead"]
    if lead.attrs.get("units") != "days" or not np.array_equal(lead.values, np.arange(1, lead.size + 1)):
        raise InputError(f"{hindcast.name}: accumulated amounts need the leads 1, 2, 3 ... days")
    before = hindcast.shift(lead=1)  # missing at the first lead, where nothing has fallen yet
    first = xr.DataArray(np.arange(lead.size) == 0, dims="lead")
    amounts = hindcast - before.where(~first, hindcast.dtype.type(0))
    sample = amounts.isel(start=0)
    fall, total = float(sample.min()), float(hindcast.isel(start=0).max())
    if fall < -0.01 * abs(total):
        raise InputError(
            f"{hindcast.name} falls by {-fall:.3g} from one lead to the next: it is not accumulated",
            remedy="leave it as it is",
        )
    return amounts.clip(min=0).transpose(*hindcast.dims).assign_attrs(hindcast.attrs)


def start_years(start: xr.DataArray) -> xr.DataArray:
    """Calendar year of each start."""
    return start.dt.year.rename("year")


def trend_covariate(hindcast: xr.DataArray, *, by: str = "start") -> xr.DataArray:
    """Time in years for a linear trend.

    Parameters
    ----------
    hindcast : xarray.DataArray
        With `start` and `lead`.
    by : {"start", "valid"}
        "start": the calendar year of the start, ``(start)``, constant over leads (as in published tables).
        "valid": the valid time as a fractional year, ``(start, lead)``.
    """
    if by == "start":
        return start_years(hindcast["start"]).astype(float)
    valid = valid_time(hindcast["start"], hindcast["lead"])
    years = valid.values.astype("datetime64[Y]")
    length = (years + np.timedelta64(1, "Y")).astype("datetime64[D]") - years.astype("datetime64[D]")
    part = (valid.values - years.astype("datetime64[ns]")) / length.astype("timedelta64[ns]")
    return valid.copy(data=years.astype(np.int64) + 1970 + part).rename("year").assign_attrs(units="years")


def climatology(
    da: xr.DataArray, *, starts: Sequence[Any] | np.ndarray | xr.DataArray | None = None
) -> xr.DataArray:
    """Mean per start month and lead, over members too if there are any.

    Parameters
    ----------
    da : xarray.DataArray
        ``(start, lead, [number,] ...)``.
    starts : sequence of datetimes, optional
        Starts to use: those of the training fold. All by default.

    Returns
    -------
    xarray.DataArray
        ``(month, lead, ...)``, `month` being the month of the start.
    """
    used = da if starts is None else da.sel(start=np.asarray(starts))
    mean = used.mean("number") if "number" in used.dims else used
    out = mean.groupby("start.month").mean("start")
    return out.assign_attrs(da.attrs).transpose("month", "lead", ...)


def anomalies(da: xr.DataArray, clim: xr.DataArray) -> xr.DataArray:
    """Departures from a climatology per start month and lead (``(month, lead, ...)``).

    Raises
    ------
    InputError
        If a start month is not in the climatology.
    """
    months = da["start"].dt.month
    absent = sorted(set(months.values.tolist()) - set(clim["month"].values.tolist()))
    if absent:
        raise InputError(f"start months {absent} are not in the climatology")
    return (da - clim.sel(month=months).drop_vars("month")).assign_attrs(da.attrs).transpose(*da.dims)


def drift(
    hindcast: xr.DataArray,
    matched: xr.DataArray,
    *,
    starts: Sequence[Any] | np.ndarray | xr.DataArray | None = None,
) -> xr.DataArray:
    """Mean error per start month and lead: how the model drifts from the reference with lead.

    Both are averaged over the starts where the reference is there.

    Parameters
    ----------
    hindcast : xarray.DataArray
        ``(start, lead, number, ...)``.
    matched : xarray.DataArray
        Reference on ``(start, lead, ...)``, from :func:`match_reference`, on the same grid.
    starts : sequence of datetimes, optional
        Training starts.

    Returns
    -------
    xarray.DataArray
        ``(month, lead, ...)``.
    """
    return climatology(ensemble_mean(hindcast) - matched, starts=starts).assign_attrs(hindcast.attrs)


def _range(times: np.ndarray) -> str:
    first, last = np.min(times).astype("datetime64[D]"), np.max(times).astype("datetime64[D]")
    return f"{first} to {last}"
