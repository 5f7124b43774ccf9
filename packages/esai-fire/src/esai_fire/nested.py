"""The whole grid at once: every forecaster nested in every fold, pooled and per cell, and their stack."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from esai_core.errors import UsageError, unknown
from esai_core.progress import track
from esai_fire.folds import Plan
from esai_fire.forecasters import FORECASTERS, Member, Settings, make_block
from esai_fire.predictors import Predictors
from esai_fire.stacking import Candidate, stack
from esai_fire.windows import Series

__all__ = ["Nested", "pooled_series", "run_nested"]

#: Values of the largest array that one block of series makes.
_BLOCK_VALUES = 20_000_000
#: Series of one task on a cluster.
_DISTRIBUTED_CELLS = 32
#: A pool's total is known in years in which this share of its cells is.
_POOL_KNOWN = 0.95


@dataclass(frozen=True)
class Nested:
    """Forecasts of every row by fits that did not see its year.

    Attributes
    ----------
    outer : method -> (C, n), in the units of the target.
    inner : method -> (C, K, n) float32, forecasts inside each outer training set.
    share : (C, K, 1 + J) weights of the stack; members : their names, the climatology first.
    selected : method -> (C, p) coefficients of the fit to all training rows.
    kkt : (C,) largest KKT residual over lambda of all lasso fits of a series.
    coef : (C, K, p) float32, how the logarithm of the stack's forecast depends on each column, per outer set.
    drift : (C, n) part of that logarithm that follows the years alone.
    """

    outer: dict[str, np.ndarray]
    inner: dict[str, np.ndarray]
    share: np.ndarray
    members: tuple[str, ...]
    selected: dict[str, np.ndarray]
    kkt: np.ndarray
    coef: np.ndarray
    drift: np.ndarray


def pooled_series(series: Series, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Totals over the cells of each pool, once per peak month that occurs in it.

    A Poisson regression of many cells with one slope for all and a mean for each has the slope of the
    regression of their sum; the designs differ by peak month, so that no index after a cell's own issue date
    enters.

    Parameters
    ----------
    series : Series
    pool : (C,) int array
        Pool of each series, -1 for none.

    Returns
    -------
    (totals (G, n), peak (G,), group (C,))
        `group` is the row of each series in `totals`, -1 for none.
    """
    totals: list[np.ndarray] = []
    peaks: list[int] = []
    group = np.full(pool.size, -1)
    for one in np.unique(pool[pool >= 0]):
        cells = pool == one
        y = series.y[cells]
        known = np.isfinite(y).mean(axis=0) >= _POOL_KNOWN
        total = np.where(known, np.nansum(y, axis=0), np.nan)
        if np.isfinite(total).sum() < 0.5 * np.isfinite(y).any(axis=0).sum():
            continue
        for peak in np.unique(series.peak[cells]):
            group[cells & (series.peak == peak)] = len(totals)
            totals.append(total)
            peaks.append(int(peak))
    return np.array(totals).reshape(len(totals), series.y.shape[1]), np.array(peaks, int), group


@dataclass(frozen=True)
class _Work:
    """What the fits of some series need."""

    y: np.ndarray
    design: np.ndarray
    season: np.ndarray
    year: np.ndarray
    predictors: Predictors
    plan: Plan
    names: tuple[str, ...]
    settings: Settings

    def do(self) -> tuple[np.ndarray, dict[str, Member]]:
        """Fit; the targets in their unit, and what each forecaster found."""
        block = make_block(
            self.y, self.design, self.season, self.year, self.predictors, self.plan, self.settings
        )
        return block.y, {name: FORECASTERS[name](block) for name in self.names}


def _run_members(
    y: np.ndarray, peak: np.ndarray, series: Series, predictors: Predictors, plan: Plan,
    names: Sequence[str], settings: Settings, label: str,
) -> tuple[np.ndarray, list[dict[str, Member]]]:  # fmt: skip
    sets, n = plan.sets.shape
    width = sets * max(n * 4, predictors.names.size * (settings.lambdas + 4), n * settings.lambdas // 4)
    size = max(1, _BLOCK_VALUES // width)
    if settings.distribute:
        size = min(size, _DISTRIBUTED_CELLS)
    works = []
    for start in range(0, y.shape[0], size):
        part = slice(start, start + size)
        own, design = predictors.of_series(peak, part)
        works.append(_Work(y[part], design, series.season, series.year, own, plan, tuple(names), settings))
    if settings.distribute:
        dask: Any = importlib.import_module("dask")
        found = dask.compute(*(dask.delayed(_Work.do)(work) for work in works))
    else:
        found = tuple(work.do() for work in track(works, total=len(works), label=label))
    return np.concatenate([scaled for scaled, _ in found]), [members for _, members in found]


def _joined(members: list[dict[str, Member]], name: str, field: str) -> np.ndarray:
    return np.concatenate([getattr(member[name], field) for member in members])


def _departures(
    name: str, member: tuple[np.ndarray, np.ndarray], base: tuple[np.ndarray, np.ndarray]
) -> Candidate:
    """Logarithms of forecast over climatology; 0 where the climatology is 0."""
    logs = []
    for forecast, mean in zip(member, base, strict=True):
        usable = (mean > 0.0) & (forecast > 0.0)
        made = np.log(np.where(usable, forecast, 1.0) / np.where(usable, mean, 1.0))
        logs.append(np.where(np.isfinite(mean), made, np.nan))
    return Candidate(name, logs[0], logs[1])


def run_nested(
    series: Series,
    predictors: Predictors,
    plan: Plan,
    *,
    forecasters: Sequence[str] = tuple(FORECASTERS),
    settings: Settings | None = None,
    pool: np.ndarray | None = None,
    confidence: float = 2.0,
) -> Nested:
    """Forecast every row of every series with each forecaster and their stack, nothing seen in advance.

    Parameters
    ----------
    series : Series
    predictors : Predictors
    plan : Plan
    forecasters : sequence of str
        From `FORECASTERS`; ``climatology`` is always among them.
    settings : Settings, optional
        Of the fits.
    pool : (C,) int array, optional
        Cells that share slopes in pooled candidates of the stack; -1 for none.
    confidence : float
        How readily the stack leaves the climatology, see `stack`.

    Returns
    -------
    Nested

    Raises
    ------
    UsageError
        For an unknown forecaster, or when none is left beside the climatology.
    """
    settings = settings or Settings()
    for name in forecasters:
        if name not in FORECASTERS:
            raise unknown("forecaster", name, FORECASTERS, where="model.forecasters")
    names = list(dict.fromkeys(["climatology", *forecasters]))
    if len(names) < 2:
        raise UsageError("no forecaster beside the climatology", where="model.forecasters")
    y, members = _run_members(series.y, series.peak, series, predictors, plan, names, settings, "series")
    known = np.isfinite(series.y)
    base = (_joined(members, "climatology", "outer"), _joined(members, "climatology", "inner"))
    candidates = [
        _departures(name, (_joined(members, name, "outer"), _joined(members, name, "inner")), base)
        for name in names[1:]
    ]
    chosen = [_joined(members, name, "chosen") for name in names[1:]]
    kkt = _joined(members, "lasso", "kkt") if "lasso" in names else np.full(y.shape[0], np.nan)
    if pool is not None and (pool >= 0).any():
        pooled, slopes = _pooled_candidates(series, pool, predictors, plan, names, settings, base)
        candidates, chosen = candidates + pooled, chosen + slopes
    made = stack(
        y, known & plan.train, *base, candidates, plan.of_row,
        peers=series.is_cell, confidence=confidence,
    )  # fmt: skip
    scale = _scale(series.y, plan)
    outer = {name: _joined(members, name, "outer") * scale for name in names}
    inner = {name: (_joined(members, name, "inner") * scale[:, None]).astype(np.float32) for name in names}
    outer["stack"] = made.outer * scale
    inner["stack"] = (made.inner * scale[:, None]).astype(np.float32)
    selected = {
        name: _joined(members, name, "chosen")[:, -1]
        for name in names
        if name not in ("climatology", "trend")
    }
    labels = ("climatology", *(one.name for one in candidates))
    coef, drift = np.zeros(chosen[0].shape, np.float32), np.zeros(y.shape)
    for number, (one, slope) in enumerate(zip(candidates, chosen, strict=True)):
        coef += (made.trust[..., number, None] * slope).astype(np.float32)
        if one.name.endswith("trend"):
            drift += made.trust[:, plan.of_row, number] * np.nan_to_num(one.outer)
    return Nested(outer, inner, made.share.astype(np.float32), labels, selected, kkt, coef, drift)


def _scale(y: np.ndarray, plan: Plan) -> np.ndarray:
    """Mean over the training rows, the unit of the blocks."""
    rows = np.isfinite(y) & plan.train
    mean = np.where(rows, np.nan_to_num(y), 0.0).sum(axis=1) / np.maximum(rows.sum(axis=1), 1)
    return np.where(mean > 0.0, mean, 1.0)[:, None]


def _pooled_candidates(
    series: Series, pool: np.ndarray, predictors: Predictors, plan: Plan, names: list[str],
    settings: Settings, base: tuple[np.ndarray, np.ndarray],
) -> tuple[list[Candidate], list[np.ndarray]]:  # fmt: skip
    totals, peaks, group = pooled_series(series, pool)
    if not totals.size:
        return [], []
    if predictors.own is not None:
        means = [predictors.own[group == one].mean(axis=0) for one in range(peaks.size)]
        predictors = replace(predictors, own=np.stack(means))
    _, members = _run_members(totals, peaks, series, predictors, plan, names, settings, "pools")
    mean = (_joined(members, "climatology", "outer"), _joined(members, "climatology", "inner"))
    found, slopes = [], []
    for name in names[1:]:
        own = (_joined(members, name, "outer"), _joined(members, name, "inner"))
        one = _departures(f"pooled_{name}", own, mean)
        outer = np.where(group[:, None] >= 0, one.outer[group], 0.0)
        inner = np.where(group[:, None, None] >= 0, one.inner[group], 0.0)
        found.append(Candidate(one.name, outer, np.where(np.isfinite(base[1]), inner, np.nan)))
        shared = _joined(members, name, "chosen")[group]
        slopes.append(np.where(group[:, None, None] >= 0, shared, 0.0))
    return found, slopes
