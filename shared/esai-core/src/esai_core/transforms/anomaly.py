"""Anomalies from a climatology, with or without a trend, of each calendar group."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core.align import aligned
from esai_core.errors import InputError, UsageError
from esai_core.transforms.groups import GROUP, PERIODS, by_group, checked_window, group_labels, members_of
from esai_core.transforms.state import check_same, fitted_on, load_state, save_state


@dataclass(frozen=True, eq=False)
class Anomaliser:
    """x - climatology, where the climatology of a group may have a linear trend in time.

    With ``time="start", group="month"`` and a hindcast it is the drift-aware climatology of each start month
    and lead; with ``time="time", group="month"`` (or "dayofyear" and a window) the usual one.

    Attributes
    ----------
    level : DataArray
        (group, ...) value at `year`.
    slope : DataArray
        (group, ...) change per year, 0 without a trend. NaN where fewer than three times were there.
    year : float
        Decimal year that the trend is counted from.
    time, group : str
        As given to `fit`.
    name, units : str or None
        Of the data it was fitted on.
    """

    level: xr.DataArray
    slope: xr.DataArray
    year: float
    time: str
    group: str | None
    name: str | None = None
    units: str | None = None

    @classmethod
    def fit(
        cls,
        da: xr.DataArray,
        *,
        time: str = "time",
        over: Collection[str] = (),
        group: str | None = "month",
        trend: bool = False,
        window: int = 0,
    ) -> Anomaliser:
        """Fit mean, or least-squares line, of each group, leaving out NaN.

        Parameters
        ----------
        da : DataArray
            Training sample: of the fold alone. May be dask-backed.
        time : str
            Dimension of the samples, with dates.
        over : collection of str
            Further dimensions to average over, such as ``("number",)``.
        group : {"month", "dayofyear", "week"}, coordinate name, or None
            See `group_labels`.
        trend : bool
            Fit a line in the decimal year of `time`. It is extrapolated when applied.
        window : int
            Also use the groups this many before and after, around the year.

        Raises
        ------
        UsageError
            If a dimension or group is not known, or a trend is asked of something without dates.
        InputError
            If all values are NaN.
        """
        labels = group_labels(da, time=time, group=group)
        window = checked_window(group, window, labels)
        missing = [d for d in over if d not in da.dims]
        if missing:
            raise UsageError(f"no dimension {', '.join(missing)} to average over")
        dims = [time, *over]
        years = decimal_years(da, time) if trend else np.zeros(da.sizes[time])
        middle = float(years.mean())
        offset = xr.DataArray(years - middle, dims=time)
        values = np.unique(labels)
        period = None if group is None else PERIODS.get(group)
        levels, slopes = [], []
        for value in values:
            here = members_of(labels, value, window=window, period=period)
            level, slope = _line(da.isel({time: here}), offset.isel({time: here}), dims, trend=trend)
            levels.append(level)
            slopes.append(slope)
        index = xr.DataArray(values, dims=GROUP, name=GROUP)
        fitted = xr.Dataset({"level": xr.concat(levels, index), "slope": xr.concat(slopes, index)}).compute()
        if not bool(fitted["level"].notnull().any()):
            raise InputError("no climatology: all values are NaN, or too few for a trend", where=da.name)
        fitted = fitted.reset_coords(drop=True)
        return cls(fitted["level"], fitted["slope"], middle, time, group, **fitted_on(da))

    def transform(self, da: xr.DataArray) -> xr.DataArray:
        """Return the anomalies of `da`, in its precision and units.

        Raises
        ------
        InputError
            If variable, units or coordinates are not those of the fit, or a group was not fitted.
        """
        return self._apply(da, -1.0)

    def inverse(self, da: xr.DataArray) -> xr.DataArray:
        """Return `da` plus the climatology."""
        return self._apply(da, 1.0)

    def climatology(self, da: xr.DataArray) -> xr.DataArray:
        """Return the climatology (with its trend) at the times of `da`, on the dimensions of the fit."""
        times = da[self.time]
        labels = group_labels(times, time=self.time, group=self.group)
        shape = [*(d for d in self.level.dims if d != GROUP)]
        zeros = xr.zeros_like(self.level.isel({GROUP: 0}, drop=True)).expand_dims({self.time: len(labels)})
        coords = {name: c for name, c in da.coords.items() if c.dims == (self.time,)}
        return self._apply(zeros.assign_coords(coords).transpose(self.time, *shape), 1.0)

    def _apply(self, da: xr.DataArray, sign: float) -> xr.DataArray:
        check_same(da, name=self.name, units=self.units, what="this anomaliser")
        labels = group_labels(da, time=self.time, group=self.group)
        names = ("the data", "the climatology")
        parameters = [
            aligned(da, values, names=names, units=False, free=(GROUP,))
            for values in (self.level, self.slope)
        ]
        moving = bool((self.slope != 0).any())
        years = decimal_years(da, self.time) - self.year if moving else np.zeros(len(labels))

        def shift(values: np.ndarray, level: np.ndarray, slope: np.ndarray, year: np.ndarray) -> np.ndarray:
            return values + sign * (level + slope * year)

        dtype = da.dtype if da.dtype.kind == "f" else np.dtype(np.float64)
        result = by_group(
            shift, da, time=self.time, labels=labels, parameters=parameters, along=years, dtype=dtype
        )
        return result.assign_attrs(da.attrs).rename(da.name)

    def save(self, path: str | Path) -> None:
        """Write to one .npz file, without pickles."""
        meta = {key: getattr(self, key) for key in ("year", "time", "group", "name", "units")}
        save_state(path, "anomaliser", meta, {"level": self.level, "slope": self.slope})

    @classmethod
    def load(cls, path: str | Path) -> Anomaliser:
        """Read what `save` wrote; an `InputError` names a file that is something else."""
        meta, arrays = load_state(path, "anomaliser")
        return cls(arrays["level"], arrays["slope"], **meta)


def decimal_years(da: xr.DataArray, time: str) -> np.ndarray:
    """Return year + (day of year - 1) / days of the year for each time."""
    if time not in da.coords or not hasattr(da[time].dt, "year"):
        raise UsageError(f"{time!r} has no dates for a trend")
    dates = da[time].dt
    return np.asarray(dates.year.values + (dates.dayofyear.values - 1) / dates.days_in_year.values)


def _line(
    da: xr.DataArray, offset: xr.DataArray, dims: list[str], *, trend: bool
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the level at offset 0 and the slope of the least-squares line over `dims`."""
    average = da.mean(dims, skipna=True, dtype=np.float64)
    if not trend:
        return average, xr.zeros_like(average)
    there = da.notnull()
    number = there.sum(dims)
    centre = (there * offset).sum(dims) / number.where(number > 0)
    departure = offset - centre
    scatter = (there * departure**2).sum(dims)
    # Times, not members, carry a trend: three of them at least.
    time, *members = dims
    times = there.any(members).sum(time)
    known = (times >= 3) & (scatter > 0)
    slope = ((da - average) * departure).sum(dims, skipna=True, dtype=np.float64) / scatter.where(known)
    return average - slope * centre, slope
