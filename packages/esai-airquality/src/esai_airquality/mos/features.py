"""Predictors of the boosted trees, made of what is known when a forecast is issued."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from esai_airquality.mos.panel import Panel

__all__ = ["analog_features", "feature_names", "features", "neighbour_hour"]

Array = NDArray[np.float64]
PAST = ("pers", "ma", "kf", "an")


@njit(cache=True, nogil=True)
def _mean(values: Array) -> Array:
    """Mean over the second axis, NaN left out, always summed in the same order."""
    days, number, stations = values.shape
    out = np.full((days, stations), np.nan)
    for d in range(days):
        for s in range(stations):
            total = 0.0
            count = 0
            for i in range(number):
                if not math.isnan(values[d, i, s]):
                    total += values[d, i, s]
                    count += 1
            if count > 0:
                out[d, s] = total / count
    return out


@njit(cache=True, nogil=True)
def _trailing(values: Array, first: int, stop: int, length: int) -> Array:
    """Mean over the `length` days that end with day d, for d from `first` to `stop` - 1; NaN left out."""
    _, hours, stations = values.shape
    out = np.full((stop - first, hours, stations), np.nan)
    for d in range(first, stop):
        for h in range(hours):
            for s in range(stations):
                total = 0.0
                count = 0
                for i in range(max(d - length + 1, 0), d + 1):
                    if not math.isnan(values[i, h, s]):
                        total += values[i, h, s]
                        count += 1
                if count > 0:
                    out[d - first, h, s] = total / count
    return out


def _extreme(values: Array, largest: bool) -> Array:
    filled = np.where(np.isnan(values), -np.inf if largest else np.inf, values)
    out = filled.max(axis=1) if largest else filled.min(axis=1)
    return np.where(np.isfinite(out), out, np.nan)


def neighbour_hour(panel: Panel, lead: int, shift: int, first: int, stop: int) -> Array:
    """Give the forecast `shift` hours away from each hour of some target days, from the same issue.

    Where leads are forecasts of their own, hours beyond midnight come from the next or the last lead of the
    same
    issue; where that is not there, and at both ends of the series, from the hour at the edge.

    Returns
    -------
    array (stop - first, hour, station)
    """
    own = panel.forecasts[lead]
    days, hours, stations = own.shape
    day = np.repeat(np.arange(first, stop), hours)
    hour = np.tile(np.arange(hours), stop - first) + shift
    step = hour // hours
    edge = np.clip(day * hours + hour, 0, days * hours - 1)
    if not panel.separate:
        return own.reshape(-1, stations)[edge].reshape(stop - first, hours, stations)
    out = np.empty((len(day), stations))
    for move in np.unique(step):
        rows = step == move
        series = panel.forecasts.get(lead + int(move)) if move + lead >= 0 else None
        if series is None or move == 0:
            inside = np.clip(hour[rows], 0, hours - 1)
            out[rows] = own[day[rows], inside]
        else:
            out[rows] = series.reshape(-1, stations)[edge[rows]]
    return out.reshape(stop - first, hours, stations)


def analog_features(panel: Panel, lead: int, stop: int) -> Array:
    """Stack what analogs are sought by: the forecast at h-1, h, h+1 and the meteorology.

    Returns
    -------
    array (variable, stop, hour, station)
    """
    rows = [neighbour_hour(panel, lead, shift, 0, stop) for shift in (-1, 0, 1)]
    rows += [values[lead][:stop] for values in panel.meteorology.values()]
    return np.stack(rows)


def feature_names(panel: Panel) -> list[str]:
    """Name the predictors, in their order."""
    names = [f"forecast_{shift:+d}h" for shift in (-3, -2, -1, 0, 1, 2, 3)]
    names += ["forecast_day_mean", "forecast_day_max", "forecast_day_min"]
    names += ["observed_0", "observed_1", "observed_6", "forecast_0", "observed_day_mean", "observed_day_max"]
    names += ["observed_last", "observed_last_4h", "error_last_6h", "error_day_mean", "network_error_last_6h"]
    names += ["observed_30_days", "observed_7_days", *PAST, "hour", "weekday", "day_of_year"]
    return [*names, *panel.meteorology, *(f"static_{name}" for name in panel.static)]


def features(
    panel: Panel, predictions: Mapping[str, Mapping[int, NDArray]], *, lead: int, first: int, stop: int
) -> NDArray[np.float32]:
    """Make the predictors of some target days; day ``t`` takes observations through ``t - lead`` only.

    Parameters
    ----------
    panel : Panel
        Forecasts and observations.
    predictions : mapping
        Method to lead to array (day, hour, station): those of `PAST` that were made already.
    lead, first, stop : int
        Lead and target days.

    Returns
    -------
    float32 array (stop - first, hour, station, feature)
        In the order of `feature_names`.
    """
    _, hours, stations = panel.observed.shape
    forecast, observed = panel.forecasts[lead], panel.observed
    shape = (stop - first, hours, stations)
    columns: list[NDArray] = [
        neighbour_hour(panel, lead, shift, first, stop) for shift in (-3, -2, -1, 0, 1, 2, 3)
    ]

    def by_day(values: NDArray) -> NDArray:
        return np.broadcast_to(values[:, None, :], shape)

    today = np.ascontiguousarray(forecast[first:stop])
    columns += [by_day(_mean(today)), by_day(_extreme(today, True)), by_day(_extreme(today, False))]

    low = max(first - lead - 6, 0)
    known = observed[low : stop - lead]
    error = forecast[low : stop - lead] - known

    def past(values: NDArray, back: int = 0) -> NDArray:
        """Rows of the days first - lead - back ..., NaN before the first day."""
        out = np.full((stop - first, *values.shape[1:]), np.nan)
        start = first - lead - back - low
        skip = max(-start, 0)
        out[skip:] = values[start + skip : start + (stop - first)]
        return out

    last6 = _mean(np.ascontiguousarray(error[:, -6:]))
    columns += [past(known), past(known, 1), past(known, 6), past(forecast[low : stop - lead])]
    columns += [by_day(past(_mean(np.ascontiguousarray(known)))), by_day(past(_extreme(known, True)))]
    columns += [
        by_day(past(known[:, -1])),
        by_day(past(_mean(np.ascontiguousarray(known[:, -4:])))),
        by_day(past(last6)),
    ]
    columns += [by_day(past(_mean(np.ascontiguousarray(error))))]
    network = _mean(np.ascontiguousarray(last6[:, :, None]))
    columns.append(by_day(np.repeat(past(network), stations, axis=1)))
    for length in (30, 7):
        begin = max(first - lead, 0)
        trail = _trailing(observed, begin, max(stop - lead, begin), length)
        out = np.full(shape, np.nan)
        out[shape[0] - len(trail) :] = trail
        columns.append(out)
    for name in PAST:
        made = predictions.get(name, {}).get(lead)
        columns.append(np.full(shape, np.nan) if made is None else made[first:stop])
    day = panel.days[first:stop]
    year = (day - day.astype("datetime64[Y]")).astype(np.int64)
    week = (day.astype(np.int64) + 3) % 7
    columns.append(np.broadcast_to(np.arange(hours)[None, :, None], shape))
    columns += [np.broadcast_to(values[:, None, None], shape) for values in (week, year)]
    columns += [values[lead][first:stop] for values in panel.meteorology.values()]
    columns += [np.broadcast_to(panel.static[name].to_numpy(np.float64), shape) for name in panel.static]
    return np.stack([np.asarray(column, np.float32) for column in columns], axis=-1)
