"""Moving average, Kalman filter, persistence and analogs: compiled loops over (day, hour, station).

All arrays are float64 of shape ``(day, hour, station)`` with NaN where a value is missing. For lead ``k``
the value for
day ``t`` is made of observations through day ``t - k`` alone. Each function gives days ``first`` to ``stop -
1``, and the
same values whether they are asked for one day at a time or all at once.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["analogs", "kalman", "moving_average", "persistence"]

Array = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _window(values: Array, lead: int, count: int, first: int, stop: int) -> Array:
    days, hours, stations = values.shape
    out = np.full((stop - first, hours, stations), np.nan)
    for t in range(first, stop):
        for h in range(hours):
            for s in range(stations):
                total = 0.0
                number = 0
                for i in range(count):
                    d = t - lead - i
                    if 0 <= d < days:
                        v = values[d, h, s]
                        if not math.isnan(v):
                            total += v
                            number += 1
                if number > 0:
                    out[t - first, h, s] = total / number
    return out


def persistence(observed: Array, *, lead: int, count: int, first: int, stop: int) -> Array:
    r"""Mean of the last observations at the same hour, :math:`\frac1n\sum_{i<n} o(t-k-i, h)`.

    Parameters
    ----------
    observed : array (day, hour, station)
        NaN where missing; missing days are left out of the mean.
    lead, count : int
        ``k`` and ``n``.
    first, stop : int
        Target days.

    Returns
    -------
    array (stop - first, hour, station)
        NaN where no observation is in the window.
    """
    return _window(observed, lead, count, first, stop)


def moving_average(
    forecast: Array, observed: Array, *, lead: int, count: int, first: int, stop: int
) -> Array:
    r"""Forecast less its mean error, :math:`f(t,h) - \frac1n\sum_{i<n}(f-o)(t-k-i,h)`, at least 0.

    Parameters
    ----------
    forecast, observed : array (day, hour, station)
        The forecast of lead `lead`, by its valid day; the observations.
    lead, count, first, stop
        As in `persistence`.
    """
    low = max(first - lead - count + 1, 0)
    known = min(stop - lead, len(observed))
    if known <= low:
        return np.full((stop - first, *forecast.shape[1:]), np.nan)
    error = forecast[low:known] - observed[low:known]
    mean = _window(error, lead, count, first - low, stop - low)
    return np.maximum(forecast[first:stop] - mean, 0.0)


@njit(cache=True, nogil=True)
def kalman(state: Array, variance: Array, forecast: Array, observed: Array, ratio: float) -> Array:
    r"""Follow the error of a forecast at each hour and station, through the given days, in place.

    :math:`p' = p + r,\ K = p'/(p'+1),\ x \leftarrow x + K(f-o-x),\ p = (1-K)p'`; where the forecast or the
    observation is
    missing x stays and :math:`p = p'` (Kalman 1960; Delle Monache et al. 2006, doi:10.1029/2005JD006311).

    Parameters
    ----------
    state, variance : array (hour, station)
        x and p after the day before the first; updated.
    forecast, observed : array (day, hour, station)
        The days to go through.
    ratio : float
        r, the variance of the error's change in a day over that of its noise.

    Returns
    -------
    array (day, hour, station)
        x after each day.
    """
    days, hours, stations = forecast.shape
    out = np.empty((days, hours, stations))
    for d in range(days):
        for h in range(hours):
            for s in range(stations):
                wide = variance[h, s] + ratio
                new = forecast[d, h, s] - observed[d, h, s]
                if math.isnan(new):
                    variance[h, s] = wide
                else:
                    gain = wide / (wide + 1.0)
                    state[h, s] += gain * (new - state[h, s])
                    variance[h, s] = (1.0 - gain) * wide
                out[d, h, s] = state[h, s]
    return out


@njit(cache=True, nogil=True)
def _analogs(
    features: Array, observed: Array, weights: Array, lead: int, count: int, first: int, stop: int
) -> Array:
    stations, hours, number, days = features.shape
    out = np.full((stop - first, hours, stations), np.nan)
    far = np.empty(days)
    best = np.empty(count)
    found = np.empty(count)
    for s in range(stations):
        for h in range(hours):
            o = observed[s, h]
            for t in range(max(first, lead + 1), stop):
                last = min(t - lead + 1, o.size)
                far[:last] = 0.0
                for v in range(number):
                    x = features[s, h, v]
                    here = x[t]
                    w = weights[v]
                    for d in range(last):
                        far[d] += w * (x[d] - here) * (x[d] - here)
                have = 0
                for d in range(last):
                    if far[d] >= 0.0 and not math.isnan(o[d]):
                        if have == count and far[d] >= best[count - 1]:
                            continue
                        place = have if have < count else count - 1
                        while place > 0 and best[place - 1] > far[d]:
                            best[place] = best[place - 1]
                            found[place] = found[place - 1]
                            place -= 1
                        best[place] = far[d]
                        found[place] = o[d]
                        if have < count:
                            have += 1
                if have > 0:
                    total = 0.0
                    norm = 0.0
                    for i in range(have):
                        w = 1.0 / max(math.sqrt(best[i]), 1e-6)
                        total += w * found[i]
                        norm += w
                    out[t - first, h, s] = total / norm
    return out


def analogs(
    features: Array, observed: Array, *, weights: Array, lead: int, count: int, first: int, stop: int
) -> Array:
    r"""Mean observation of the nearest past days at the same hour, weighted by :math:`1/d`.

    :math:`d^2 = \sum_v w_v (x_v(t) - x_v(t'))^2` over days :math:`t' \le t - k` (Delle Monache et al. 2013,
    doi:10.1175/MWR-D-12-00281.1).

    Parameters
    ----------
    features : array (variable, day, hour, station)
        Forecast at h-1, h, h+1 and meteorology, of lead `lead`, by valid day.
    observed : array (day, hour, station)
        Observations.
    weights : array (variable,)
        Weight of each variable in the squared distance.
    lead, count, first, stop
        As in `persistence`; `count` days are averaged.

    Returns
    -------
    array (stop - first, hour, station)
    """
    x = np.ascontiguousarray(np.transpose(features[:, :stop], (3, 2, 0, 1)))
    o = np.ascontiguousarray(np.transpose(observed[: max(stop - lead, 0)], (2, 1, 0)))
    return _analogs(x, o, np.asarray(weights, np.float64), lead, count, first, stop)
