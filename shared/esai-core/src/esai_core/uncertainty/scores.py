"""How good intervals are: how often they hold the truth, and how wide they are for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from esai_core.errors import UsageError
from esai_core.uncertainty.quantile import check_coverage

__all__ = ["interval_scores"]


def interval_scores(
    observed: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    coverage: float = 0.9,
    blocks: ArrayLike | None = None,
    draws: int = 500,
    seed: int = 0,
) -> dict[str, float]:
    r"""Score intervals on cases that did not calibrate them.

    Parameters
    ----------
    observed, lower, upper : array (n, ...)
        Cases on the first axis, of one shape; cases with a NaN are left out.
    coverage : float
        What the intervals claim.
    blocks : array (n,), optional
        Blocks to draw for the uncertainty of the coverage (bootstrap with replacement).
    draws, seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``coverage`` (share inside), ``width`` (mean of those that are bounded, units of the data),
        ``interval_score`` (Gneiting & Raftery, 2007, eq. 43: width plus :math:`2/\alpha` times the miss, mean
        of those that are bounded, lower is better), ``below`` and ``above`` (shares of truths beyond each
        end), ``unbounded`` (share of infinite intervals), ``cases``; with blocks ``coverage_low`` and
        ``coverage_high``, its 90 % bootstrap interval.

    Raises
    ------
    UsageError
        If shapes differ or no case is complete.
    """
    alpha = 1.0 - check_coverage(coverage)
    y, low, high = (np.asarray(a, np.float64) for a in (observed, lower, upper))
    if not y.shape == low.shape == high.shape:
        raise UsageError(f"shapes {y.shape}, {low.shape}, {high.shape} of truth and ends differ")
    there = ~(np.isnan(y) | np.isnan(low) | np.isnan(high))
    if not there.any():
        raise UsageError("no case has a truth and an interval")
    inside = there & (low <= y) & (y <= high)
    bounded = there & np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        width = high - low
        penalty = 2.0 / alpha * (np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0))
    count = there.sum()
    result = {
        "coverage": inside.sum() / count,
        "width": width[bounded].mean() if bounded.any() else np.nan,
        "interval_score": (width + penalty)[bounded].mean() if bounded.any() else np.nan,
        "below": (there & (y < low)).sum() / count,
        "above": (there & (y > high)).sum() / count,
        "unbounded": (there & ~bounded).sum() / count,
        "cases": count,
    }
    if blocks is not None:
        result |= _bootstrap(inside, there, np.asarray(blocks), draws, seed)
    return {name: float(value) for name, value in result.items()}


def _bootstrap(
    inside: np.ndarray, there: np.ndarray, blocks: np.ndarray, draws: int, seed: int
) -> dict[str, float]:
    if blocks.shape != (len(inside),):
        raise UsageError(f"{blocks.shape} block labels for {len(inside)} cases")
    _, codes = np.unique(blocks, return_inverse=True)
    rows = (len(inside), -1)
    hits = np.bincount(codes, inside.reshape(rows).sum(1))
    cases = np.bincount(codes, there.reshape(rows).sum(1))
    chosen = np.random.default_rng(seed).integers(0, len(hits), (draws, len(hits)))
    total = cases[chosen].sum(1)
    shares = hits[chosen].sum(1)[total > 0] / total[total > 0]
    low, high = np.quantile(shares, [0.05, 0.95])
    return {"coverage_low": float(low), "coverage_high": float(high)}
