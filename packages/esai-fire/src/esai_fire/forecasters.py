"""The forecasters: each fits on every training set of a plan at once and forecasts the rows left out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from esai_core import glm
from esai_fire.engines import fit_paths
from esai_fire.folds import Plan
from esai_fire.predictors import Predictors
from esai_fire.screening import compress, correlations, discoveries, p_values

__all__ = ["FORECASTERS", "Block", "Member", "make_block", "means_of_seasons"]

#: Ridge of the fits with one or two columns, in standard units of a target of mean 1.
RIDGE = 0.05
#: Forecasts stay below this many times the largest training value and above this share of the climatology.
CEILING, FLOOR = 2.0, 0.02


@dataclass(frozen=True)
class Settings:
    """What the forecasters share: see `esai_fire.config`.

    With `distribute` the series are fitted by dask, on the cluster that is connected.
    """

    lambdas: int = 20
    lambda_ratio: float = 0.1
    alpha: float = 1.0
    fdr: float = 0.5
    detrend: bool = False
    tolerance: float = 1e-6
    threads: int | None = None
    engine: str = "numba"
    distribute: bool = False


@dataclass(frozen=True)
class Block:
    """Some series with what every forecaster needs of them.

    Attributes
    ----------
    y : (C, n) burned area in units of each series' mean; 0 where unknown.
    unit : (C, S) mean of each training set, in which its fits are made, so that no penalty depends on a row
        that is left out.
    known : (C, n) True where it is known.
    weights : (C, S, n) 1 on the known rows of each training set.
    climatology : (C, S, n) mean of the row's season over each training set.
    design : (C,) design of each series.
    r : (C, S, p) correlation of each column with the compressed target in each training set.
    count : (C, S) pairs that it is worth: the rows of a training set, fewer where seasons differ in fire.
    """

    y: np.ndarray
    unit: np.ndarray
    known: np.ndarray
    weights: np.ndarray
    climatology: np.ndarray
    design: np.ndarray
    r: np.ndarray
    count: np.ndarray
    year: np.ndarray
    predictors: Predictors
    plan: Plan
    settings: Settings

    @property
    def targets(self) -> np.ndarray:
        """(C S, n) burned area in the unit of each training set."""
        return (self.y[:, None] / self.unit[..., None]).reshape(-1, self.y.shape[1])

    def tiled(self, array: np.ndarray) -> np.ndarray:
        """(C, ...) to one entry per series and training set: (C S, ...)."""
        return np.repeat(array, self.plan.sets.shape[0], axis=0)


@dataclass(frozen=True)
class Member:
    """Forecasts of one method.

    Attributes
    ----------
    outer : (C, n) forecast of each row by the outer set that does not train on it.
    inner : (C, K, n) forecasts inside each outer set, NaN where there is none.
    chosen : (C, K, p) coefficients of the fit of each outer set, 0 where a column is not used.
    kkt : (C,) largest KKT residual over lambda, NaN where nothing is penalised by the lasso.
    """

    outer: np.ndarray
    inner: np.ndarray
    chosen: np.ndarray
    kkt: np.ndarray


def make_block(
    y: np.ndarray, design: np.ndarray, season: np.ndarray, year: np.ndarray,
    predictors: Predictors, plan: Plan, settings: Settings,
) -> Block:  # fmt: skip
    """Scale some series, and work out climatologies and correlations of every training set.

    Parameters
    ----------
    y : (C, n) array
        Burned area, NaN where unknown.
    design : (C,) array
        Position of each series' design in ``predictors.x``.
    season, year : (n,) array
        Of each row.
    """
    known = np.isfinite(y)
    training = known & plan.train
    mean = np.where(training, y, 0.0).sum(axis=1) / np.maximum(training.sum(axis=1), 1)
    scaled = np.where(known, y, 0.0) / np.where(mean > 0.0, mean, 1.0)[:, None]
    weights = plan.sets[None] * known[:, None]
    unit = np.einsum("cn,csn->cs", scaled, weights) / np.maximum(weights.sum(axis=2), 1.0)
    unit = np.where(unit > 0.0, unit, 1.0)
    base = means_of_seasons(scaled, weights, season)
    r, count = np.empty((*unit.shape, predictors.x.shape[2])), np.empty(unit.shape)
    for c, d in enumerate(design):
        # Departures from the season, each as important as its season's fires.
        share = weights[c] * base[c] / unit[c, :, None]
        ratio = scaled[c] / np.where(base[c] > 0.0, base[c], 1.0)
        r[c] = correlations(_partial(predictors.x[d], year, settings.detrend), compress(ratio), share)
        count[c] = share.sum(axis=1) ** 2 / np.maximum((share**2).sum(axis=1), 1e-300)
    return Block(scaled, unit, known, weights, base, design, r, count, year, predictors, plan, settings)


def _partial(x: np.ndarray, year: np.ndarray, detrend: bool) -> np.ndarray:
    """Take the line through the years out of the predictors, so that a trend cannot pose as their skill."""
    if not detrend:
        return x
    line = (year - year.mean())[:, None] / max(float(year.std()), 1e-9)
    return np.asarray(x - line * (line * x).mean(axis=0))


def means_of_seasons(y: np.ndarray, weights: np.ndarray, season: np.ndarray) -> np.ndarray:
    """Mean (C, S, n) of the season of each row over each training set, not below 1 % of the set's mean.

    Parameters
    ----------
    y : (C, n) array
        0 where unknown.
    weights : (C, S, n) array
        1 on the known rows of each training set.
    season : (n,) array
        Number of each row's season.
    """
    mass = weights.sum(axis=2)
    overall = np.einsum("cn,csn->cs", y, weights) / np.maximum(mass, 1.0)
    if not season.any():
        return np.broadcast_to(overall[..., None], weights.shape)
    made = np.empty(weights.shape)
    for one in np.unique(season):
        rows = season == one
        part = weights[:, :, rows]
        mean = np.einsum("cn,csn->cs", y[:, rows], part) / np.maximum(part.sum(axis=2), 1.0)
        made[:, :, rows] = np.maximum(mean, 0.01 * overall)[..., None]
    return made


def _gather(mu: np.ndarray, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """(C, S, n) to the forecasts of rows that were left out: (C, n) outer and (C, K, n) inner."""
    rows = np.arange(mu.shape[2])
    outer = mu[:, plan.outer[plan.of_row], rows]
    inner = np.where(plan.inner >= 0, mu[:, plan.inner, rows[None, :]], np.nan)
    return outer, inner


def _bounded(block: Block, eta: np.ndarray) -> np.ndarray:
    """Linear predictors (C, S, n) beyond the climatology, to forecasts that do not run away."""
    top = CEILING * np.where(block.weights > 0.0, block.y[:, None], 0.0).max(axis=2)[..., None]
    base = block.climatology
    mu = base * np.exp(np.clip(eta, np.log(FLOOR), 50.0))
    return np.where(base > 0.0, np.minimum(mu, np.maximum(top, base)), 0.0)


def _offset(block: Block) -> np.ndarray:
    base = (block.climatology / block.unit[..., None]).reshape(-1, block.y.shape[1])
    return np.log(np.where(base > 0.0, base, 1.0))


def _nothing(block: Block) -> np.ndarray:
    return np.zeros((block.y.shape[0], block.plan.outer.size, block.predictors.x.shape[2]))


def climatology(block: Block) -> Member:
    """Forecast the mean of the training years (of the row's season)."""
    outer, inner = _gather(block.climatology, block.plan)
    return Member(outer, inner, _nothing(block), np.full(block.y.shape[0], np.nan))


def _fit_columns(block: Block, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fit columns (C, S, n, q) by ridge Poisson regression; forecasts (C, S, n), coefficients (C, S, q)."""
    cells, sets, n, q = x.shape
    flat = np.ascontiguousarray(x).reshape(cells * sets, n, q)
    with warnings.catch_warnings():
        # A fold without fire has no finite optimum: its forecast is the climatology, 0.
        warnings.simplefilter("ignore", glm.GlmConvergenceWarning)
        fitted = glm.fit(
            flat,
            block.targets,
            family="poisson",
            weights=block.weights.reshape(-1, n),
            offset=_offset(block),
            penalty=RIDGE,
            alpha=0.0,
            standardise=True,
            threads=block.settings.threads,
        )
    coef = np.nan_to_num(fitted.coef)
    intercept = np.where(np.isfinite(fitted.intercept), fitted.intercept, 0.0)
    eta = intercept[:, None] + np.einsum("snq,sq->sn", flat, coef)
    return _bounded(block, eta.reshape(cells, sets, n)), coef.reshape(cells, sets, q)


def trend(block: Block) -> Member:
    """Forecast a log-linear trend over the years."""
    line = (block.year - block.year[block.plan.train].mean()) / 10.0
    shape = (*block.weights.shape, 1)
    mu, _ = _fit_columns(block, np.broadcast_to(line[None, None, :, None], shape))
    outer, inner = _gather(mu, block.plan)
    return Member(outer, inner, _nothing(block), np.full(block.y.shape[0], np.nan))


def _with_columns(block: Block, columns: np.ndarray) -> Member:
    """Fit on the columns (C, S, q) that each training set chose."""
    cells, sets, q = columns.shape
    designs = block.predictors.x[block.design]
    x = np.empty((cells, sets, designs.shape[1], q))
    for c in range(cells):
        x[c] = designs[c][:, columns[c]].transpose(1, 0, 2)
    mu, coef = _fit_columns(block, x)
    outer, inner = _gather(mu, block.plan)
    chosen = _nothing(block)
    at = columns[:, block.plan.outer]
    np.put_along_axis(chosen, at, coef[:, block.plan.outer], axis=2)
    return Member(outer, inner, chosen, np.full(cells, np.nan))


def single(block: Block) -> Member:
    """Forecast with the one index and lag of the largest correlation in the training set."""
    return _with_columns(block, np.abs(block.r).argmax(axis=2)[..., None])


def pair(block: Block) -> Member:
    """Forecast with two indices of different oceans (Chen et al. 2016).

    The second is the one that adds most to the correlation, of all columns from another ocean; where all
    are of one ocean, of another index or lag.
    """
    first = np.abs(block.r).argmax(axis=2)
    oceans = block.predictors.oceans
    second = np.empty_like(first)
    for c in range(first.shape[0]):
        x, w = block.predictors.x[block.design[c]], block.weights[c]
        for column in np.unique(first[c]):
            sets = first[c] == column
            between = correlations(x, x[:, column], w[sets])
            r1, r2 = block.r[c, sets][:, column, None], block.r[c, sets]
            gain = (r2 - r1 * between) ** 2 / np.maximum(1.0 - between**2, 0.05)
            other = oceans != oceans[column]
            allowed = other if other.any() else np.arange(oceans.size) != column
            second[c, sets] = np.where(allowed, gain, -1.0).argmax(axis=1)
    return _with_columns(block, np.stack([first, second], axis=2))


def lasso(block: Block) -> Member:
    """Forecast with the elastic-net path on the columns that pass the screen, lambda chosen inside.

    Screen, path and lambda (by deviance of the inner folds) are those of each outer training set; on the
    inner folds screen and path are made anew. Penalties are compared as shares of each fit's largest one.
    """
    plan, settings = block.plan, block.settings
    cells, sets, n = block.weights.shape
    passed = discoveries(p_values(block.r, block.count[..., None]), rate=settings.fdr)
    factor = np.where(passed, 1.0, np.inf).reshape(cells * sets, -1)
    path = fit_paths(
        block.predictors.x,
        block.targets,
        groups=block.tiled(block.design),
        weights=block.weights.reshape(-1, n),
        offset=_offset(block),
        penalty_factor=factor,
        alpha=settings.alpha,
        n_lambdas=settings.lambdas,
        lambda_ratio=settings.lambda_ratio,
        tolerance=settings.tolerance,
        threads=settings.threads,
        engine=settings.engine,
    )
    coef = np.nan_to_num(path.coef).reshape(cells, sets, settings.lambdas, -1)
    intercept = np.where(np.isfinite(path.intercept), path.intercept, 0.0).reshape(cells, sets, -1)
    outer = np.empty((cells, n))
    inner = np.full((cells, plan.outer.size, n), np.nan)
    chosen = _nothing(block)
    for c in range(cells):
        x = block.predictors.x[block.design[c]]
        here = slice(c, c + 1)
        one = replace(
            block,
            y=block.y[here],
            unit=block.unit[here],
            weights=block.weights[here],
            climatology=block.climatology[here],
        )
        mu = np.stack(
            [
                _bounded(one, (intercept[c, :, k, None] + coef[c, :, k] @ x.T)[None])[0]
                for k in range(settings.lambdas)
            ]
        )
        first, inside = _gather(mu, plan)
        loss = _deviance_sum(block.y[c], inside, block.known[c])
        best = loss.argmin(axis=0)
        inner[c] = inside[best, np.arange(best.size)]
        outer[c] = first[best[plan.of_row], np.arange(n)]
        chosen[c] = coef[c, plan.outer, best]
    kkt = np.fmax.reduce(path.kkt.reshape(cells, -1), axis=1, initial=0.0)
    return Member(outer, inner, chosen, kkt)


def _deviance_sum(y: np.ndarray, mu: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Sum of unit deviances over the rows that have a forecast: (..., n) to (...)."""
    there = np.isfinite(mu) & known
    safe = np.where(there, mu, 1.0)
    each = glm.unit_deviance("poisson", np.broadcast_to(np.where(known, y, 1.0), mu.shape), safe)
    return np.where(there, each, 0.0).sum(axis=-1)


FORECASTERS: dict[str, Callable[[Block], Member]] = {
    "climatology": climatology,
    "trend": trend,
    "single": single,
    "pair": pair,
    "lasso": lasso,
}
"""Forecasters by the name that configs and metrics.json use."""
