"""Groups of the calendar that climatologies and category edges are fitted for, and work group by group."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError, nearest

#: Groups of the calendar by name: how many there are around the year.
PERIODS = {"month": 12, "dayofyear": 366, "week": 53}

GROUP = "group"


def group_labels(da: xr.DataArray, *, time: str, group: str | None) -> np.ndarray:
    """Return the label of the group of each time.

    Parameters
    ----------
    da : DataArray
        With the dimension `time`.
    time : str
        Dimension of the samples, such as "start" or "time".
    group : {"month", "dayofyear", "week"}, name of a coordinate along `time`, or None
        Calendar month 1-12; day of the year 1-366, where 1 March is always 61; week 1-53 counted in seven
        days from 1 January (not the ISO week); the values of a coordinate; or one group, 0, for all.

    Returns
    -------
    array, shape (n,)
        Labels.

    Raises
    ------
    UsageError
        If the dimension or the group is not known.
    """
    if time not in da.dims:
        raise UsageError(f"no dimension {time!r}", remedy=nearest(time, map(str, da.dims)))
    if group is None:
        return np.zeros(da.sizes[time], dtype=np.int64)
    if group in da.coords and da[group].dims == (time,):
        return da[group].values
    if group not in PERIODS:
        raise UsageError(f"unknown group {group!r}", remedy=nearest(group, [*PERIODS, *map(str, da.coords)]))
    if time not in da.coords or not hasattr(da[time].dt, "month"):
        raise UsageError(f"{time!r} has no dates to group by {group}")
    dates = da[time].dt
    if group == "month":
        return dates.month.values.astype(np.int64)
    day = dates.dayofyear.values.astype(np.int64)
    if group == "week":
        return (day - 1) // 7 + 1
    leap = dates.is_leap_year.values
    return day + ((day >= 60) & ~leap)


def members_of(labels: np.ndarray, value: object, *, window: int, period: int | None) -> np.ndarray:
    """Return the positions of the samples within `window` groups of `value`, around the year."""
    if window == 0:
        return np.flatnonzero(labels == value)
    distance = np.abs(labels - value)
    if period is not None:
        distance = np.minimum(distance, period - distance)
    return np.flatnonzero(distance <= window)


def checked_window(group: str | None, window: int, labels: np.ndarray) -> int:
    """Return the window; refuse a negative one, or one over labels that are no numbers."""
    if window < 0 or (window > 0 and (group is None or labels.dtype.kind not in "iu")):
        raise UsageError(f"a window of {window} groups of {group}", remedy="give 0, or use a calendar group")
    return window


def by_group(
    function: Callable[..., np.ndarray],
    da: xr.DataArray,
    *,
    time: str,
    labels: np.ndarray,
    parameters: Sequence[xr.DataArray],
    along: np.ndarray | None = None,
    dtype: np.dtype,
) -> xr.DataArray:
    """Apply ``function(values, *parameters of the group[, along])`` to the samples of each group.

    Dask arrays are treated chunk by chunk, when they are computed.

    Parameters
    ----------
    function : callable
        Of numpy arrays with the samples along the first axis; parameters broadcast against the others.
    da : DataArray
        Data with the dimension `time`.
    time : str
        Its sample dimension.
    labels : array, shape (n,)
        Group of each sample.
    parameters : sequence of DataArray
        With the dimension `group` and dimensions of `da`, in the same order of coordinates.
    along : array, shape (n,), optional
        A number for each sample, such as its year.
    dtype : dtype
        Of the result.

    Raises
    ------
    InputError
        If a group was not fitted.
    """
    known = parameters[0][GROUP].values
    unfitted = np.setdiff1d(labels, known)
    if len(unfitted):
        raise InputError(
            f"nothing was fitted for group {unfitted[0]} of {time}", remedy=f"fitted: {_shown(known)}"
        )
    codes = xr.DataArray(np.searchsorted(known, labels), dims=time)
    extra = [] if along is None else [xr.DataArray(along, dims=time)]

    def block(values: np.ndarray, code: np.ndarray, *rest: np.ndarray) -> np.ndarray:
        numbers = rest[: len(extra)]
        fitted = [np.moveaxis(values_, -1, 0) for values_ in rest[len(extra) :]]
        out = np.empty(values.shape, dtype=dtype)
        for g in np.unique(code):
            here = np.flatnonzero(code.ravel() == g)
            out[here] = function(values[here], *(f[g] for f in fitted), *(n[here] for n in numbers))
        return out

    order = da.dims
    first = da.transpose(time, ...)
    result = xr.apply_ufunc(
        block,
        first,
        codes,
        *extra,
        *parameters,
        input_core_dims=[[], [], *([] for _ in extra), *([GROUP] for _ in parameters)],
        dask="parallelized",
        output_dtypes=[dtype],
        join="exact",
    )
    return result.transpose(*order)


def _shown(values: np.ndarray) -> str:
    shown = ", ".join(str(v) for v in values[:6])
    return shown if len(values) <= 6 else f"{shown} ... {values[-1]}"
