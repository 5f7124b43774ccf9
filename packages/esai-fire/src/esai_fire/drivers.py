"""What the forecasts of burned area follow: contributions of indices, their importance, and a check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from esai_core import glm
from esai_core.explain import Attribution, Drivers, mean_size, permutation_importance, randomisation_check
from esai_fire.folds import Plan
from esai_fire.forecasters import Settings
from esai_fire.nested import Nested, run_nested
from esai_fire.opening import Problem
from esai_fire.predictors import Predictors
from esai_fire.windows import Series

__all__ = ["contributions", "explain"]

_SAMPLE = 12  # series of the check
_CHECKS = 5  # forecasts of shuffled years
_TEXT = (
    "Of the stack, whose logarithm is a sum over the columns: each index counts with all of its lags, in the "
    "forecasts of rows by fits that did not see their year. *Cells* are all cells together; regions by name."
)


def contributions(
    nested: Nested, series: Series, predictors: Predictors, plan: Plan
) -> tuple[list[str], NDArray[np.float64]]:
    r"""Split the logarithm of every forecast of the stack among the indices.

    The Shapley values of a linear predictor, :math:`\phi_j = \sum_l \beta_{jl} (x_{jl} - \bar x_{jl})` over
    the lags `l` of index `j`, with slopes and means of the training rows of the fit that forecasts the row.

    Parameters
    ----------
    nested : Nested
    series, predictors, plan
        What it was made of.

    Returns
    -------
    names : list of str
        Indices, columns of the series' own, and "trend" (what follows the years alone).
    array (C, n, name)
        Logarithms.
    """
    indices = predictors.names.astype(str)
    names = list(dict.fromkeys(indices))
    made = np.zeros((*series.y.shape, len(names) + 1))
    sets = plan.sets[plan.outer]
    mean_of = sets / np.maximum(sets.sum(axis=1, keepdims=True), 1.0)
    for c in range(series.names.size):
        own, design = predictors.of_series(series.peak, slice(c, c + 1))
        x = own.x[design[0]]
        parts = nested.coef[c, plan.of_row] * (x - (mean_of @ x)[plan.of_row])
        for number, name in enumerate(names):
            made[c, :, number] = parts[:, indices == name].sum(axis=1)
    made[..., -1] = nested.drift - np.nanmean(nested.drift, axis=1, keepdims=True)
    return [*names, "trend"], made


def _poisson(y: NDArray, mu: NDArray) -> NDArray:
    """Deviance of each row, in the unit of its series; NaN where the target is unknown."""
    there = np.isfinite(y) & np.isfinite(mu) & (mu > 0.0)
    each = glm.unit_deviance("poisson", np.where(there, y, 1.0), np.where(there, mu, 1.0))
    return np.where(there, each, np.nan)


def explain(
    problem: Problem, nested: Nested, *, pool: NDArray | None, settings: Settings, seed: int
) -> Drivers:
    """Tell which indices drive the stack, by size of contribution and by loss of skill, and check it.

    The check forecasts years in another order for some series: what such fits find is chance.

    Parameters
    ----------
    problem : Problem
    nested : Nested
        Its forecasts.
    pool : (C,) array, optional
        As it was given to `run_nested`.
    settings : Settings
        Of the fits.
    seed : int
    """
    series, plan = problem.series, problem.plan
    names, parts = contributions(nested, series, problem.predictors, plan)
    labels = np.where(series.is_cell, "cells", series.names.astype(str))
    rows = plan.test
    size = mean_size(
        parts[:, rows], names=names, method="contributions", by=labels,
        units="mean size of the contribution to the logarithm",
    )  # fmt: skip
    told = [size]
    if np.unique(series.year[rows]).size > 1:  # a year alone has none to change places with
        told.append(_by_skill(series, nested, rows, names, parts, seed))
    some = np.unique(np.linspace(0, series.names.size - 1, _SAMPLE).round().astype(int))
    check = None
    if np.abs(parts[some]).sum() > 0.0:
        quick = replace(settings, engine="numba")  # all engines find the same
        chance = [_of_chance(problem, some, pool, quick, seed + number) for number in range(_CHECKS)]
        check = randomisation_check(parts[some], chance)
    return Drivers(tuple(told), check, _TEXT)


def _by_skill(
    series: Series, nested: Nested, rows: NDArray, names: list[str], parts: NDArray, seed: int
) -> Attribution:
    """Score an index by the deviance that the stack gains where it is taken from other years."""
    mean = np.nanmean(series.y, axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        base = nested.outer["stack"] / mean / np.exp(parts.sum(axis=2))
    return permutation_importance(
        lambda x: base[:, rows].T * np.exp(x.sum(axis=2)),
        parts[:, rows].transpose(1, 0, 2), (series.y / mean)[:, rows].T, names=names,
        blocks=series.year[rows], loss=_poisson, units="increase of the Poisson deviance", seed=seed,
    )  # fmt: skip


def _of_chance(
    problem: Problem, some: NDArray, pool: NDArray | None, settings: Settings, seed: int
) -> NDArray[np.float64]:
    """Contributions to forecasts of some series whose years are in another order."""
    series, plan = problem.series.pick(some), problem.plan
    random = np.random.default_rng(seed)
    years = np.unique(series.year)
    other = dict(zip(years, random.permutation(years), strict=True))
    at = {(year, season): n for n, (year, season) in enumerate(zip(series.year, series.season, strict=True))}
    order = [
        at.get((other[year], season), n)
        for n, (year, season) in enumerate(zip(series.year, series.season, strict=True))
    ]
    series = replace(series, y=series.y[:, order])
    predictors = problem.predictors
    if predictors.own is not None:
        predictors = replace(predictors, own=predictors.own[some])
    found = run_nested(
        series, predictors, plan, forecasters=("trend", "single", "pair", "lasso"), settings=settings,
        pool=None if pool is None else pool[some],
    )  # fmt: skip
    return contributions(found, series, predictors, plan)[1]
