"""From days to windows: means and totals over weeks 3-4 and 5-6, of forecasts and of observed series."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from esai_core.errors import InputError

__all__ = [
    "LAGS",
    "PRECIPITATION",
    "daily_windows",
    "kind_of",
    "lagged_means",
    "series_windows",
    "valid_days",
]

PRECIPITATION = frozenset({"tp", "pr", "precip", "prcp", "rain", "rr", "precipitation", "tot_prec"})
LAGS = ((1, 7), (8, 28))
"""First and last day before the start of the past means that stand in for a forecast."""


def kind_of(variable: str) -> str:
    """Return "precipitation" or "normal", by the name of a variable."""
    return "precipitation" if variable.lower() in PRECIPITATION else "normal"


def daily_windows(
    da: xr.DataArray,
    windows: Mapping[str, tuple[int, int]],
    *,
    total: bool = False,
    accumulated: bool = False,
) -> xr.DataArray:
    """Return window means or totals of daily values along the new dimension ``window``.

    Parameters
    ----------
    da : DataArray
        With ``lead`` in days: day l runs from l to l + 1 days after the start; accumulated values are those
        reached l days after it.
    windows : mapping of str to (int, int)
        First and last day, both included.
    total : bool
        Sum instead of mean (precipitation).
    accumulated : bool
        Values count from the start: the total is the difference of two, d28 - d14 for days 14-27.

    Returns
    -------
    DataArray
        NaN where a day of the window is missing, in the file or as NaN: a part of a window is no window.
        A window that the leads do not reach is NaN (a model to day 32 has no weeks 5-6).

    Raises
    ------
    InputError
        If no window is reached.
    """
    leads = set(da["lead"].values.tolist())
    parts, reached = [], 0
    for first, last in windows.values():
        needed = [first, last + 1] if accumulated else list(range(first, last + 1))
        if leads.issuperset(needed):
            reached += 1
            days = da.sel(lead=needed)
            if accumulated:
                part = days.isel(lead=1, drop=True) - days.isel(lead=0, drop=True)
            elif total:
                part = days.sum("lead", skipna=False)
            else:
                part = days.mean("lead", skipna=False)
        else:
            part = xr.full_like(da.isel(lead=0, drop=True), np.nan, dtype=np.float64)
        parts.append(part)
    if not reached:
        raise InputError(
            f"leads {min(leads)} to {max(leads)} days reach none of the windows",
            where=da.name,
            remedy=f"windows are {', '.join(f'{k}: days {a}-{b}' for k, (a, b) in windows.items())}",
        )
    index = xr.DataArray(list(windows), dims="window", name="window")
    return xr.concat(parts, index, coords="minimal", compat="override").rename(da.name)


def _moving(da: xr.DataArray, starts: np.ndarray, first: int, last: int, total: bool) -> xr.DataArray:
    """Mean or sum of a daily series over days after each start; NaN where a day is missing."""
    days = np.asarray(da["time"].values, dtype="datetime64[D]")
    wanted = starts.astype("datetime64[D]")[:, None] + np.arange(first, last + 1)
    at = np.searchsorted(days, wanted).clip(0, len(days) - 1)
    there = days[at] == wanted
    index = xr.DataArray(at, dims=("start", "day"), coords={"start": starts})
    values = da.isel(time=index).drop_vars("time", errors="ignore")
    values = values.where(xr.DataArray(there, dims=("start", "day")))
    return values.sum("day", skipna=False) if total else values.mean("day", skipna=False)


def series_windows(
    da: xr.DataArray, starts: np.ndarray, windows: Mapping[str, tuple[int, int]], *, total: bool = False
) -> xr.DataArray:
    """Return the windows after each start of a daily series (time, ...): dims (window, start, ...).

    Parameters as in `daily_windows`; a window with a missing day is NaN.
    """
    da = _sorted_days(da)
    parts = [_moving(da, starts, first, last, total) for first, last in windows.values()]
    index = xr.DataArray(list(windows), dims="window", name="window")
    return xr.concat(parts, index, coords="minimal", compat="override").rename(da.name)


def lagged_means(da: xr.DataArray, starts: np.ndarray) -> xr.DataArray:
    """Return the means over `LAGS` before each start: dims (lag, start, ...)."""
    da = _sorted_days(da)
    return xr.concat([_moving(da, starts, -last, -first, False) for first, last in LAGS], "lag")


def _sorted_days(da: xr.DataArray) -> xr.DataArray:
    da = da.sortby("time")
    days = da["time"].values.astype("datetime64[D]")
    if len(np.unique(days)) < len(days):
        raise InputError("days are repeated in the series", where=da.name, remedy="keep each day once")
    return da


def valid_days(starts: np.ndarray, first: int, last: int) -> np.ndarray:
    """Return the days (n, days) from `first` to `last` after each start."""
    return starts.astype("datetime64[D]")[:, None] + np.arange(first, last + 1)
