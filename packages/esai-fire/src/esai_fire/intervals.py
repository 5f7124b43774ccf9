"""Intervals and predictive samples that know how dispersed burned area is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from esai_core.errors import unknown

__all__ = ["INTERVALS", "Predictive", "predictive"]

INTERVALS = ("jackknife", "quasi_poisson")
Kind = Literal["jackknife", "quasi_poisson"]


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


def _crps_of_sample(sample: np.ndarray, y: np.ndarray) -> np.ndarray:
    """CRPS of (R, m) samples with NaN for (R,) values: E|X - y| - E|X - X'| / 2 by ranks."""
    ordered = np.sort(sample, axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    filled = np.nan_to_num(ordered)
    there = np.isfinite(ordered)
    usable = np.maximum(count, 1)
    miss = np.where(there, np.abs(filled - y[:, None]), 0.0).sum(axis=1) / usable
    rank = 2.0 * np.arange(1, sample.shape[1] + 1)[None, :] - usable[:, None] - 1.0
    within = np.where(there, rank * filled, 0.0).sum(axis=1) / usable**2
    return np.where(count > 0, miss - within, np.nan)


def predictive(
    y: np.ndarray, outer: np.ndarray, inner: np.ndarray, *, of_row: np.ndarray, train: np.ndarray,
    level: float = 0.9, kind: Kind = "jackknife",
) -> Predictive:  # fmt: skip
    r"""Make intervals and the CRPS of forecasts from how the inner folds did.

    ``jackknife``: the forecast times the ratios y / y-hat of the training rows, each by a fit that left it
    out (the jackknife of Barber et al. 2021, on the scale of ratios): whatever their distribution,
    zeros included, quantiles (m + 1) p of m ratios cover as they should. ``quasi_poisson``: a gamma
    distribution whose variance is phi times its mean, phi from the Pearson residuals of the inner folds.

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
    kind : {"jackknife", "quasi_poisson"}

    Returns
    -------
    Predictive
    """
    if kind not in INTERVALS:
        raise unknown("kind of intervals", kind, INTERVALS, where="intervals.kind")
    cells, n = y.shape
    lower, upper, crps = (np.full((cells, n), np.nan) for _ in range(3))
    tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    grid = (np.arange(1, 100) - 0.5) / 99.0
    for c in range(cells):
        fit = inner[c].astype(np.float64)
        usable = np.isfinite(fit) & (fit > 0.0) & np.isfinite(y[c]) & train
        ratio = np.where(usable, y[c] / np.where(usable, fit, 1.0), np.nan)[of_row]
        enough = np.isfinite(ratio).sum(axis=1) >= 5
        if kind == "jackknife":
            sample = outer[c][:, None] * ratio
            if enough.any():
                low, high = np.nanquantile(sample[enough], tails, axis=1, method="weibull")
                lower[c, enough], upper[c, enough] = low, high
        else:
            expected = np.where(usable, fit, np.nan)[of_row]
            pearson = np.where(np.isfinite(ratio), (ratio - 1.0) ** 2 * expected, 0.0)
            phi = pearson.sum(axis=1) / np.maximum(np.isfinite(ratio).sum(axis=1) - 1, 1)
            phi = np.maximum(phi, 1e-12)
            shape, scale = np.maximum(outer[c] / phi, 1e-6), phi
            lower[c] = np.where(enough, stats.gamma.ppf(tails[0], shape, scale=scale), np.nan)
            upper[c] = np.where(enough, stats.gamma.ppf(tails[1], shape, scale=scale), np.nan)
            sample = stats.gamma.ppf(grid[None, :], shape[:, None], scale=scale[:, None])
        scored = np.isfinite(y[c]) & enough
        if scored.any():
            crps[c, scored] = _crps_of_sample(sample[scored], y[c, scored])
    return Predictive(lower, upper, crps)
