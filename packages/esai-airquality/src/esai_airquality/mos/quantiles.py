"""Quantile mapping from histograms that grow by the day."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["BINS", "count_pairs", "edges", "map_quantiles", "quantiles_of"]

Array = NDArray[np.float64]

_SCALE = 0.1  # below it the bins have equal width, above it equal ratio
_STEP = 0.004
_LOW = -1500
BINS = 4500  # asinh(v / 0.1) / 0.004 from -20 to 8.1e3, in ppb or ug/m3


@njit(cache=True, nogil=True)
def _bin(value: float) -> int:
    number = math.floor(math.asinh(value / _SCALE) / _STEP) - _LOW
    return min(max(number, 0), BINS - 1)


@njit(cache=True, nogil=True)
def count_pairs(histogram: NDArray[np.int32], forecast: Array, observed: Array) -> None:
    """Add the pairs of some days to the histograms, in place.

    Parameters
    ----------
    histogram : int32 array (2, station, BINS)
        Of the forecast and of the observations.
    forecast, observed : array (day, hour, station)
        A pair with a missing value is left out.
    """
    days, hours, stations = forecast.shape
    for d in range(days):
        for h in range(hours):
            for s in range(stations):
                f, o = forecast[d, h, s], observed[d, h, s]
                if not (math.isnan(f) or math.isnan(o)):
                    histogram[0, s, _bin(f)] += 1
                    histogram[1, s, _bin(o)] += 1


def edges() -> Array:
    """Give the lower edges of the bins and the upper edge of the last: ``0.1 sinh(0.004 (i - 1500))``."""
    return _SCALE * np.sinh(_STEP * (np.arange(BINS + 1) + _LOW))


@njit(cache=True, nogil=True)
def _quantiles(counts: NDArray[np.int32], bounds: Array, probabilities: Array, out: Array) -> None:
    for s in range(counts.shape[0]):
        total = 0
        for b in range(counts.shape[1]):
            total += counts[s, b]
        if total == 0:
            out[s] = np.nan
            continue
        b = 0
        below = 0
        for i in range(probabilities.size):
            rank = probabilities[i] * (total - 1) + 0.5
            while b < counts.shape[1] - 1 and below + counts[s, b] < rank:
                below += counts[s, b]
                b += 1
            part = (rank - below) / counts[s, b] if counts[s, b] > 0 else 0.0
            out[s, i] = bounds[b] + min(max(part, 0.0), 1.0) * (bounds[b + 1] - bounds[b])


def quantiles_of(counts: NDArray[np.int32], probabilities: Array) -> Array:
    """Give quantiles of counted values, as far as the bins (0.4 % of the value) resolve them.

    Parameters
    ----------
    counts : int32 array (station, BINS)
        As `count_pairs` makes.
    probabilities : array (n,)
        Ascending, between 0 and 1.

    Returns
    -------
    array (station, n)
        NaN for a station without a value.
    """
    out = np.empty((counts.shape[0], len(probabilities)))
    _quantiles(counts, edges(), np.asarray(probabilities, np.float64), out)
    return out


@njit(cache=True, nogil=True)
def _map(forecast: Array, source: Array, shift: Array) -> Array:
    days, hours, stations = forecast.shape
    out = np.full((days, hours, stations), np.nan)
    for s in range(stations):
        x, y = source[s], shift[s]
        if math.isnan(x[0]):
            continue
        for d in range(days):
            for h in range(hours):
                f = forecast[d, h, s]
                if math.isnan(f):
                    continue
                if f <= x[0]:
                    add = y[0]
                elif f >= x[-1]:
                    add = y[-1]
                else:
                    i = np.searchsorted(x, f, side="right") - 1
                    wide = x[i + 1] - x[i]
                    add = y[i] + (y[i + 1] - y[i]) * ((f - x[i]) / wide if wide > 0 else 0.0)
                out[d, h, s] = max(f + add, 0.0)
    return out


def map_quantiles(forecast: Array, source: Array, target: Array) -> Array:
    r"""Correct a forecast by :math:`F_o^{-1}(F_f(f))`, with a constant shift beyond the outermost quantiles.

    Parameters
    ----------
    forecast : array (day, hour, station)
        To be corrected.
    source, target : array (station, n)
        Quantiles of past forecasts and observations at the same probabilities; NaN leaves a station missing.

    Returns
    -------
    array (day, hour, station)
        At least 0.
    """
    return _map(forecast, np.ascontiguousarray(source), np.ascontiguousarray(target - source))
