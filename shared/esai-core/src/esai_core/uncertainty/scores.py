"""How good intervals are: how often they hold the truth, and how wide they are for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError
from esai_core.uncertainty.quantile import check_coverage

__all__ = ["interval_scores", "interval_sums", "scores_of_sums"]


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
    sums = interval_sums(observed, lower, upper, coverage=coverage)
    return scores_of_sums(sums, blocks=blocks, draws=draws, seed=seed)


def interval_sums(
    observed: ArrayLike, lower: ArrayLike, upper: ArrayLike, *, coverage: float = 0.9
) -> NDArray[np.float64]:
    """Sum what `interval_scores` counts over all but the first axis, for cases that come in parts.

    Parameters and errors as there, except that a part may have no complete case.

    Returns
    -------
    array (n, 7)
        To be joined with those of other parts along the first axis, for `scores_of_sums`.
    """
    alpha = 1.0 - check_coverage(coverage)
    y, low, high = (np.asarray(a, np.float64) for a in (observed, lower, upper))
    if not y.shape == low.shape == high.shape:
        raise UsageError(f"shapes {y.shape}, {low.shape}, {high.shape} of truth and ends differ")
    there = ~(np.isnan(y) | np.isnan(low) | np.isnan(high))
    bounded = there & np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        width = high - low
        penalty = 2.0 / alpha * (np.maximum(low - y, 0.0) + np.maximum(y - high, 0.0))
    counted = (
        there,
        there & (low <= y) & (y <= high),
        there & (y < low),
        there & (y > high),
        bounded,
        np.where(bounded, width, 0.0),
        np.where(bounded, width + penalty, 0.0),
    )
    return np.stack([part.reshape(len(y), -1).sum(1, dtype=np.float64) for part in counted], axis=1)


def scores_of_sums(
    sums: NDArray[np.float64], *, blocks: ArrayLike | None = None, draws: int = 500, seed: int = 0
) -> dict[str, float]:
    """Make the scores of `interval_scores` of `interval_sums`; parameters and errors as there."""
    count, inside, below, above, bounded, width, score = sums.sum(0)
    if not count:
        raise UsageError("no case has a truth and an interval")
    result = {
        "coverage": inside / count,
        "width": width / bounded if bounded else np.nan,
        "interval_score": score / bounded if bounded else np.nan,
        "below": below / count,
        "above": above / count,
        "unbounded": (count - bounded) / count,
        "cases": count,
    }
    if blocks is not None:
        result |= _bootstrap(sums[:, 1], sums[:, 0], np.asarray(blocks), draws, seed)
    return {name: float(value) for name, value in result.items()}


def _bootstrap(
    inside: NDArray[np.float64], there: NDArray[np.float64], blocks: np.ndarray, draws: int, seed: int
) -> dict[str, float]:
    if blocks.shape != (len(inside),):
        raise UsageError(f"{blocks.shape} block labels for {len(inside)} cases")
    _, codes = np.unique(blocks, return_inverse=True)
    hits, cases = np.bincount(codes, inside), np.bincount(codes, there)
    chosen = np.random.default_rng(seed).integers(0, len(hits), (draws, len(hits)))
    total = cases[chosen].sum(1)
    shares = hits[chosen].sum(1)[total > 0] / total[total > 0]
    low, high = np.quantile(shares, [0.05, 0.95])
    return {"coverage_low": float(low), "coverage_high": float(high)}
