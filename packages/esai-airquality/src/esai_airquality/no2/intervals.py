r"""Intervals from the errors made in blocks that were held out (split conformal, by level of the prediction).

Errors grow with the concentration, so that predictions are cut into bins (Mondrian conformal regressors:
Bostrom and Johansson 2020, COPA 128), and in each bin of :math:`n` errors :math:`e = y - \hat y` the interval
is :math:`[\hat y + e_{(\lfloor (n+1)\alpha/2 \rfloor)}, \hat y + e_{(\lceil (n+1)(1-\alpha/2) \rceil)}]`. The
errors come from blocks whose observations the model had not seen, as those of a place without a station.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import UsageError
from esai_core.splits import Fold
from esai_core.uncertainty import SplitConformal

__all__ = ["Intervals", "blocked_intervals", "calibrate"]

Array = NDArray[np.float64]
BINS, FEWEST = 10, 100
"""Bins of the prediction, and errors that each needs at least."""


@dataclass(frozen=True)
class Intervals:
    """Calibrated errors by level of the prediction.

    Attributes
    ----------
    edges : array (bins - 1,)
        Between the bins.
    lower, upper : array (bins,)
        What is added to a prediction.
    """

    edges: Array
    lower: Array
    upper: Array

    def apply(self, predicted: Array) -> tuple[Array, Array]:
        """Give the ends of the intervals of predictions; the lower end is 0 or more."""
        which = np.searchsorted(self.edges, predicted, side="right")
        return np.maximum(predicted + self.lower[which], 0.0), predicted + self.upper[which]


def calibrate(predicted: Array, observed: Array, *, coverage: float) -> Intervals:
    """Calibrate intervals.

    Parameters
    ----------
    predicted, observed : array (case,)
        Of places that the model had not seen.
    coverage : float
        Part of the observations that intervals are to hold.

    Returns
    -------
    Intervals

    Raises
    ------
    UsageError
        If there are too few cases for the coverage.
    """
    fewest = int(np.ceil(2 / (1 - coverage)))
    if len(predicted) < fewest:
        raise UsageError(
            f"{len(predicted)} cases cannot calibrate intervals of {coverage:.0%}",
            remedy=f"{fewest} or more are needed",
        )
    bins = int(np.clip(len(predicted) // max(FEWEST, fewest), 1, BINS))
    edges = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
    which = np.searchsorted(edges, predicted, side="right")
    errors = observed - predicted
    ends = [_ends(errors[which == b] if (which == b).sum() >= fewest else errors, coverage)
            for b in range(len(edges) + 1)]  # fmt: skip
    lower, upper = np.array(ends).T
    return Intervals(edges, lower, upper)


def _ends(errors: Array, coverage: float) -> tuple[float, float]:
    made = SplitConformal(coverage=coverage, symmetric=False).fit(errors, np.zeros(len(errors)))
    low, high = made.interval(0.0)
    return float(low), float(high)


def blocked_intervals(
    target: Array,
    predicted: Array,
    folds: Sequence[Fold],
    pairs: Mapping[tuple[int, int], tuple[Array, Array]],
    *,
    coverage: float,
) -> tuple[Array, Array]:
    """Give each row an interval that its own fold had no part in, so that its coverage can be measured.

    Parameters
    ----------
    target, predicted : array (row,)
        Observations and out-of-fold predictions.
    folds : sequence of Fold
        The folds of `predicted`.
    pairs : mapping
        As `pair_predictions` of the same folds gives it: the errors of fold j, made by a model without i and
        j, calibrate the intervals of fold i.
    coverage : float
        Part of the observations that intervals are to hold.

    Returns
    -------
    tuple of array (row,)
        Lower and upper ends; NaN for folds without calibration.
    """
    lower, upper = np.full(len(target), np.nan), np.full(len(target), np.nan)
    for i, fold in enumerate(folds):
        made, seen = [], []
        for j, other in enumerate(folds):
            if (min(i, j), max(i, j)) in pairs:
                made.append(pairs[min(i, j), max(i, j)][int(j > i)])
                seen.append(target[other.test])
        if made:
            intervals = calibrate(np.concatenate(made), np.concatenate(seen), coverage=coverage)
            lower[fold.test], upper[fold.test] = intervals.apply(predicted[fold.test])
    return lower, upper
