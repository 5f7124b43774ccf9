"""Forecast every test case by a fit that has not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from esai_core.progress import track
from esai_core.splits import Fold
from esai_s2s.fitting import Fitted, Plan, fit
from esai_s2s.guard import assert_no_leak
from esai_s2s.sample import Sample

__all__ = ["Verification", "cross_validate", "guard"]


@dataclass(frozen=True, eq=False)
class Verification:
    """Out-of-fold forecasts of the test cases.

    Attributes
    ----------
    rows : (n,)
        Positions of the test cases in the sample.
    codes : (n, cells)
        Observed categories, by the edges of each case's own fold.
    probabilities : dict of str to (n, cells, K)
    weights : dict of str to (folds,)
        Of the ensemble.
    last : Fitted
        Of the last fold.
    """

    rows: np.ndarray
    codes: np.ndarray
    probabilities: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    last: Fitted


def cross_validate(sample: Sample, blocks: np.ndarray, folds: Sequence[Fold], plan: Plan) -> Verification:
    """Fit each fold and forecast its test part."""
    rows = np.sort(np.concatenate([fold.test for fold in folds]))
    codes = np.full((len(rows), sample.cells), np.nan)
    found: dict[str, np.ndarray] = {}
    weights: dict[str, list[float]] = {}
    fitted: Fitted | None = None
    for fold in track(folds, total=len(folds), label=f"{sample.variable} {sample.window}"):
        fitted = fit(sample.take(fold.train), blocks[fold.train], plan)
        held, at = sample.take(fold.test), np.searchsorted(rows, fold.test)
        codes[at] = fitted.categories.codes(held)
        for name, values in fitted.predict(held).items():
            shape = (len(rows), sample.cells, plan.categories)
            found.setdefault(name, np.full(shape, np.nan))[at] = values
        for name, weight in fitted.weights.items():
            weights.setdefault(name, []).append(weight)
    if fitted is None:
        raise ValueError("no folds")
    return Verification(rows, codes, found, {k: np.array(v) for k, v in weights.items()}, fitted)


def guard(sample: Sample, blocks: np.ndarray, fold: Fold, plan: Plan) -> None:
    """Run the leak guard on one fold with the quick methods: edges, scalers, coefficients, weights."""
    quick = tuple(name for name in plan.methods if name in ("raw", "logistic", "emos"))
    small = sample.on_cells(np.arange(min(sample.cells, 8)))
    lean = replace(plan, methods=quick, inner=2)

    def procedure(given: Sample, part: Fold) -> np.ndarray:
        fitted = fit(given.take(part.train), blocks[part.train], lean)
        held = given.take(part.test)
        answers = fitted.predict(held)
        edges = fitted.categories.edges(held).transpose(0, 2, 1)
        return np.concatenate([*answers.values(), edges], axis=-1)

    assert_no_leak(procedure, small, fold)
