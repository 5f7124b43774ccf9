"""Intervals of the forecast value: quantiles of EMOS, conformalised on blocks that it was not fitted on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from esai_core.splits import Fold
from esai_core.uncertainty import ConformalQuantiles, interval_scores
from esai_s2s.fitting import Plan, fit_models, inner_folds
from esai_s2s.methods.emos import Emos, from_anomaly, power_of, to_power
from esai_s2s.predictors import Seasonal, fit_seasonal
from esai_s2s.sample import Sample

__all__ = ["COVERAGE", "value_intervals"]

COVERAGE = 0.9


def value_intervals(sample: Sample, blocks: np.ndarray, folds: list[Fold], plan: Plan) -> dict[str, float]:
    """Score the intervals of held-out blocks.

    In each fold the quantiles are fitted and calibrated on its training part alone: each inner part is told
    by a fit on the other inner parts, and the errors of all widen or narrow the quantiles of the fit on the
    whole training part.

    Parameters
    ----------
    sample : Sample
        Of few cells; of several forecast models the first counts.
    blocks : (n,)
        Labels of seasons or years.
    folds : list of Fold
        That are scored.
    plan : Plan

    Returns
    -------
    dict
        Of `esai_core.uncertainty.interval_scores`.
    """
    sample = sample.of_source(0)
    ends = np.full((2, sample.size, sample.cells), np.nan)
    for fold in folds:
        train, labels = sample.take(fold.train), blocks[fold.train]
        told = np.full((2, *train.observed.shape), np.nan)
        for part in inner_folds(train, labels, plan):
            told[:, part.test] = _quantiles(train.take(part.train), train.take(part.test), plan)
        conformal = ConformalQuantiles(coverage=COVERAGE).fit(train.observed, *told, blocks=labels)
        interval = conformal.interval(*_quantiles(train, sample.take(fold.test), plan))
        if sample.kind == "precipitation":
            interval = interval.clip(low=0.0)
        ends[:, fold.test] = interval
    rows = np.sort(np.concatenate([fold.test for fold in folds]))
    return interval_scores(
        sample.observed[rows], *ends[:, rows], coverage=COVERAGE, blocks=blocks[rows], seed=plan.settings.seed
    )


def _quantiles(train: Sample, wanted: Sample, plan: Plan) -> np.ndarray:
    """Return the ends of the central interval, (2, n, cells), in the units of the observations."""
    tails = np.array([(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    if train.forecast is None:
        return _climate(train, wanted, tails, cycle=plan.settings.cycle)
    categories, _ = fit_models(train, replace(plan, methods=()))
    return Emos.fit(train, categories, plan.settings).quantiles(wanted, tails)


def _climate(train: Sample, wanted: Sample, tails: np.ndarray, *, cycle: bool) -> np.ndarray:
    """Return quantiles about the mean annual cycle, where there is no forecast."""
    power = power_of(train.kind)
    state: Seasonal = fit_seasonal(to_power(train.observed, power), train.angle, cycle=cycle)
    anomaly = state.transform(to_power(train.observed, power), train.angle)
    ends = np.nanquantile(anomaly, tails, axis=0)[:, None]
    return from_anomaly(ends, state, wanted.angle, power)
