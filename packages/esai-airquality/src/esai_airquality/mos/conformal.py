"""Prediction intervals whose coverage is held by what was observed lately."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from esai_core.uncertainty import conformal_quantile

__all__ = ["CASES", "widened"]

Array = NDArray[np.float64]

NARROW = 1e-3
"""Least width of raw bounds, in the units of the values."""
CASES = 200
"""Past cases of a station below which those of all stations serve it; of all, below which there are none."""


def widened(
    lower: Array,
    upper: Array,
    observed: Array,
    *,
    lead: int,
    begin: int,
    stop: int,
    window: int,
    level: float,
) -> tuple[Array, Array]:
    r"""Widen or narrow raw bounds so that they would have held `level` of the last observations.

    :math:`E = \max(l - o, o - u) / (u - l)` of the last `window` days that were forecast and observed; its
    :math:`\lceil (n+1) \cdot level \rceil`-th smallest value Q, station by station, gives
    :math:`[l - Q(u-l),\ u + Q(u-l)]` (conformalised quantiles: Romano et al. 2019, arXiv:1905.03222; in
    units of the width: Kivaranovic et al. 2020; on a moving window, as the past is no sample of the season).

    Parameters
    ----------
    lower, upper : array (day, hour, station)
        Raw bounds of lead `lead`, by valid day, through day ``stop - 1 + lead``.
    observed : array (day, hour, station)
        Observations.
    lead : int
        Days from the issue to the target.
    begin, stop : int
        Issue days ``begin`` to ``stop - 1``; each takes observations through itself.
    window : int
        Days to learn from.
    level : float
        Part of the observations to be held.

    Returns
    -------
    two arrays (target day, hour, station)
        Of days ``begin + lead`` to ``stop - 1 + lead``, those there are; NaN before there are `CASES` cases.
    """
    first, last = begin + lead, min(stop + lead, len(lower))
    lower, upper = np.minimum(lower, upper), np.maximum(lower, upper)
    low, high = lower[first:last].copy(), upper[first:last].copy()
    origin = max(begin - window + 1, 0)
    known = slice(origin, stop)
    o, below, above = observed[known], lower[known], upper[known]
    misses = np.maximum(below - o, o - above) / np.maximum(above - below, NARROW)
    stations = low.shape[2]
    for issue in range(begin, begin + len(low)):
        past = misses[max(issue - window + 1, 0) - origin : issue + 1 - origin]
        factor = _ranked(past.reshape(-1, stations), level)
        few = np.isnan(factor)
        if few.any():
            factor = np.where(few, _ranked(past.reshape(-1, 1), level), factor)
        wide = factor * np.maximum(high[issue - begin] - low[issue - begin], NARROW)
        low[issue - begin] -= wide
        high[issue - begin] += wide
    middle = 0.5 * (low + high)
    low, high = np.minimum(low, middle), np.maximum(high, middle)
    return np.maximum(low, 0.0), np.maximum(high, 0.0)


def _ranked(values: Array, level: float) -> Array:
    """Give the conformal quantile of each column; NaN of those with too few cases."""
    enough = np.isfinite(values).sum(axis=0) >= max(CASES, level / (1.0 - level))
    found = np.full(values.shape[1], np.nan)
    if enough.any():
        found[enough] = conformal_quantile(values[:, enough], coverage=level)
    return found
