"""The leak guard: what a fold was not given must not change what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from esai_core.errors import EsaiError
from esai_core.splits import Fold
from esai_s2s.sample import Sample

__all__ = ["assert_no_leak"]

ROUNDING = 1e-9
"""What two answers may differ by, of their size or of one: processors round extreme values, and what is
computed beside them, in another way. What is replaced is several times the largest value: a leak is large."""

Procedure = Callable[[Sample, Fold], np.ndarray]


def assert_no_leak(procedure: Procedure, sample: Sample, fold: Fold, *, seed: int = 0) -> None:
    """Run a procedure twice, the second time with other truth in the test part, and demand the same answer.

    The same but for `ROUNDING`.

    All observations of the test part are replaced, and the forecasts (and past observations) of a half of it:
    edges, scalers, coefficients or weights fitted on anything of the test part change the answer for the
    other half.

    Parameters
    ----------
    procedure : callable
        ``procedure(sample, fold)`` fits on ``fold.train`` and returns an array with one row for each case of
        ``fold.test`` (probabilities, with the edges beside them where these are to be guarded too).
    sample : Sample
        All cases.
    fold : Fold
        One fold.
    seed : int
        Of the replacement.

    Raises
    ------
    EsaiError
        If an answer changed.
    """
    rng = np.random.default_rng(seed)
    half = fold.test[len(fold.test) // 2 :]

    def scrambled(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
        changed = values.copy()
        top = float(np.nanmax(np.abs(values))) or 1.0
        changed[rows] = top * rng.uniform(3.0, 9.0, size=changed[rows].shape)
        return changed

    other = replace(
        sample,
        observed=scrambled(sample.observed, fold.test),
        forecast=None if sample.forecast is None else scrambled(sample.forecast, half),
        lags=None if sample.lags is None else scrambled(sample.lags, half),
        statistics={},
    )
    sample = replace(sample, statistics={})
    untouched = len(fold.test) - len(half)
    before, after = procedure(sample, fold)[:untouched], procedure(other, fold)[:untouched]
    if not np.allclose(before, after, rtol=ROUNDING, atol=ROUNDING, equal_nan=True):
        raise EsaiError(
            f"the test part leaks into the fit of fold {fold.name}: {sample.variable}, {sample.window}",
            where="leak guard",
            remedy="fit edges, scalers, models and weights on the training part of the fold alone",
        )
