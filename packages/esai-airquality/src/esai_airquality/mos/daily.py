"""Daily maxima of ozone, as European law counts them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["d1max", "d8max"]

Array = NDArray[np.float64]


def d1max(hourly: Array, *, complete: float = 0.75) -> Array:
    """Give the largest hourly mean of each day.

    Parameters
    ----------
    hourly : array (day, hour, ...)
        Hourly means, NaN where missing.
    complete : float, default 0.75
        Part of the 24 hours that must be there (Directive 2008/50/EC, annex XI).

    Returns
    -------
    array (day, ...)
        NaN where too many hours are missing.
    """
    there = np.isfinite(hourly)
    largest = np.where(there, hourly, -np.inf).max(axis=1)
    return np.where(there.sum(axis=1) >= complete * hourly.shape[1], largest, np.nan)


def d8max(hourly: Array, *, complete: float = 0.75) -> Array:
    """Give the largest mean over 8 hours of each day (MDA8).

    A window belongs to the day on which it ends: the first is from 17 h of the day before to 1 h, the last
    from 16 h to
    24 h, 24 in all (Directive 2008/50/EC, annexes VII and XI). A window needs 6 of its 8 hours, a day 18 of
    its 24
    windows.

    Parameters
    ----------
    hourly : array (day, hour, ...)
        Hourly means of consecutive days, each stamped with the hour at which it begins.
    complete : float, default 0.75
        Part of the hours, and of the windows, that must be there.

    Returns
    -------
    array (day, ...)
        NaN where too little is there. The first day lacks the windows that begin on the day before.
    """
    days, hours, *rest = hourly.shape
    flat = hourly.reshape(days * hours, *rest)
    there = np.isfinite(flat)
    filled = np.where(there, flat, 0.0)
    total, count = np.zeros_like(filled), np.zeros(flat.shape, np.int64)
    for back in range(8):
        total[back:] += filled[: len(flat) - back]
        count[back:] += there[: len(flat) - back]
    means = np.where(count >= complete * 8, total / np.maximum(count, 1), np.nan)
    return d1max(means.reshape(hourly.shape), complete=complete)
