"""Intervals and predictive samples that know how dispersed burned area is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from esai_core.errors import unknown
from esai_core.uncertainty import ensemble_interval

__all__ = ["INTERVALS", "Predictive", "predictive"]

INTERVALS = ("jackknife", "quasi_poisson", "negative_binomial")
Kind = Literal["jackknife", "quasi_poisson", "negative_binomial"]


#: Quantiles that stand for a gamma distribution in its CRPS.
GRID = 99
#: Rows whose ratios make an interval.
_FEWEST = 5


@dataclass(frozen=True)
class Predictive:
    """Predictive distribution of every row.

    Attributes
    ----------
    lower, upper : (C, n)
    crps : (C, n) continuous ranked probability score, NaN where the target is unknown.
    """

    lower: np.ndarray
    upper: np.ndarray
    crps: np.ndarray


#: Values of the largest array of one block of series.
_BLOCK_VALUES = 5_000_000


def _crps_of_sorted(sample: np.ndarray, count: np.ndarray, y: np.ndarray) -> np.ndarray:
    """CRPS of samples (..., m), ascending with NaN last, for values (...): E|X - y| - E|X - X'| / 2."""
    there = np.arange(sample.shape[-1]) < count[..., None]
    filled = np.where(there, sample, 0.0)
    usable = np.maximum(count, 1)
    miss = np.where(there, np.abs(filled - y[..., None]), 0.0).sum(axis=-1) / usable
    rank = 2.0 * np.arange(1, sample.shape[-1] + 1) - usable[..., None] - 1.0
    within = np.where(there, rank * filled, 0.0).sum(axis=-1) / usable**2
    return np.where(count > 0, miss - within, np.nan)


def predictive(
    y: np.ndarray, outer: np.ndarray, inner: np.ndarray, *, of_row: np.ndarray, train: np.ndarray,
    level: float = 0.9, kind: Kind = "jackknife",
) -> Predictive:  # fmt: skip
    r"""Make intervals and the CRPS of forecasts from how the inner folds did.

    ``jackknife``: the forecast times the ratios y / y-hat of the training rows, each by a fit that left it
    out (the jackknife of Barber et al. 2021, on the scale of ratios): whatever their distribution,
    quantiles (m + 1) p of m ratios cover as they should. Where some year had no fire the interval is
    one-sided, from 0 up: nothing can lie below. ``quasi_poisson``: a gamma
    distribution whose variance is phi times its mean. ``negative_binomial``: a gamma distribution whose
    variance is its mean squared over k, to which the negative binomial comes for counts as large as burned
    area in m2. phi and k are estimated from the Pearson residuals of the inner folds.

    Parameters
    ----------
    y : (C, n) array
        Target, NaN where unknown.
    outer, inner : (C, n) and (C, K, n) array
        Forecasts.
    of_row : (n,) array
        Outer set that forecasts each row.
    train : (n,) bool array
        Rows that may train.
    level : float
        Nominal coverage.
    kind : {"jackknife", "quasi_poisson", "negative_binomial"}

    Returns
    -------
    Predictive
    """
    if kind not in INTERVALS:
        raise unknown("kind of intervals", kind, INTERVALS, where="intervals.kind")
    cells, n = y.shape
    lower, upper, crps = (np.full((cells, n), np.nan) for _ in range(3))
    size = max(1, _BLOCK_VALUES // (n * max(n, GRID)))
    for start in range(0, cells, size):
        part = slice(start, start + size)
        fit = inner[part].astype(np.float64)
        usable = np.isfinite(fit) & (fit > 0.0) & np.isfinite(y[part])[:, None] & train
        ratio = np.where(usable, y[part][:, None] / np.where(usable, fit, 1.0), np.nan)
        expected = np.where(usable, fit, np.nan)
        made = _of_block(outer[part], ratio, expected, of_row, level=level, kind=kind)
        enough = (usable.sum(axis=2) >= _FEWEST)[:, of_row]
        lower[part], upper[part] = (np.where(enough, values, np.nan) for values in made[:2])
        known = np.isfinite(y[part])
        scored = _crps_of_sorted(made[2], made[3], np.where(known, y[part], 0.0))
        crps[part] = np.where(enough & known, scored, np.nan)
    return Predictive(lower, upper, crps)


def _of_block(
    outer: np.ndarray,
    ratio: np.ndarray,
    expected: np.ndarray,
    of_row: np.ndarray,
    *,
    level: float,
    kind: Kind,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Give lower and upper ends (C, n), a sorted sample (C, n, m) and its size (C, n).

    `ratio` and `expected` are (C, K, n), NaN where a row does not count.
    """
    count = np.isfinite(ratio).sum(axis=2)
    if kind == "jackknife":
        size = count[:, of_row]
        sample = outer[..., None] * np.sort(ratio, axis=2)[:, of_row]
        low, high = ensemble_interval(sample, coverage=level, axis=-1)
        if level > 0.5:
            dormant = sample[..., 0] <= 0.0
            whole = ensemble_interval(sample, coverage=2.0 * level - 1.0, axis=-1).upper
            low, high = np.where(dormant, 0.0, low), np.where(dormant, whole, high)
        return low, high, sample, size
    spread = np.where(np.isfinite(ratio), (ratio - 1.0) ** 2, 0.0)
    free = np.maximum(count - 1, 1)
    if kind == "quasi_poisson":
        scale = ((spread * np.nan_to_num(expected)).sum(axis=2) / free)[:, of_row]
    else:
        scale = outer * (spread.sum(axis=2) / free)[:, of_row]
    scale = np.maximum(scale, 1e-12)
    shape = np.maximum(np.nan_to_num(outer) / scale, 1e-6)
    tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    low, high = (stats.gamma.ppf(tail, shape, scale=scale) for tail in tails)
    grid = (np.arange(1, GRID + 1) - 0.5) / GRID
    sample = stats.gamma.ppf(grid, shape[..., None], scale=scale[..., None])
    return low, high, sample, np.full(shape.shape, GRID)
