"""Fit every method inside a fold, and weigh them by forecasts that none of them was fitted on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from esai_core.errors import UsageError
from esai_core.splits import Fold, drop_overlap, k_fold, year_blocks
from esai_s2s.config import S2sConfig
from esai_s2s.methods.emos import power_of
from esai_s2s.methods.registry import FAMILIES, METHODS, NEEDS_FORECAST, POOLED, fit_method, to_cells
from esai_s2s.methods.settings import Settings
from esai_s2s.methods.stacking import choose_weights, gram, mix
from esai_s2s.predictors import remember
from esai_s2s.sample import Categories, Sample, fit_categories

__all__ = [
    "Fitted",
    "Grams",
    "Plan",
    "Pooled",
    "fit",
    "fit_models",
    "inner_folds",
    "inner_grams",
    "make_blocks",
    "make_folds",
    "make_plan",
    "predict_singles",
    "prepared",
    "weigh",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to fit on a sample.

    Attributes
    ----------
    methods : tuple of str
        Single methods, without climatology and ensemble.
    categories : int
    group, window
        Of `fit_categories`.
    dry_edge : float or None
    inner : int
        Parts of the training blocks for out-of-fold forecasts.
    stack : bool
        Whether the weights are needed.
    shrinkage : float or None
        Pull of the weights towards climatology; None: chosen on left-out blocks.
    settings : Settings
    """

    methods: tuple[str, ...]
    categories: int = 3
    group: str | None = "week"
    window: int = 0
    dry_edge: float | None = None
    inner: int = 5
    stack: bool = True
    shrinkage: float | None = None
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Everything that was fitted on one training sample.

    Attributes
    ----------
    categories : Categories
    models : dict of str to method
    weights : dict of str to float
        Of climatology and each single method in the ensemble.
    inner_rps : dict of str to float
        RPS of the out-of-fold forecasts inside the training part.
    """

    categories: Categories
    models: dict[str, Any]
    weights: dict[str, float]
    inner_rps: dict[str, float]

    def predict(self, sample: Sample) -> dict[str, np.ndarray]:
        """Return the probabilities (n, cells, K) of climatology, each method, and the ensemble if weighed."""
        found = predict_singles(self.models, self.categories, sample)
        if self.weights:
            found["ensemble"] = mix(found, self.weights)
        return found


def predict_singles(models: dict[str, Any], categories: Categories, sample: Sample) -> dict[str, np.ndarray]:
    """Return the probabilities of climatology and of each model."""
    size = categories.size
    found = {"climatology": np.full((sample.size, sample.cells, size), 1.0 / size)}
    for name, model in models.items():
        found[name] = model.predict(sample, categories)
    return found


def make_plan(config: S2sConfig, sample: Sample, *, threads: int = 1) -> Plan:
    """Resolve the config for one sample."""
    chosen = tuple(name for name in config.models if name in METHODS)
    if sample.forecast is None:
        left_out = [name for name in chosen if name in NEEDS_FORECAST]
        if left_out:
            raise UsageError(
                f"{', '.join(left_out)} need a forecast",
                where="models",
                remedy="give data.forecast, or leave them out",
            )
    power = config.model.power
    if power == "auto":
        power = "sqrt" if sample.kind == "precipitation" else "none"
    details = config.model.model_dump(exclude={"power", "shrinkage", "pool_cells"})
    group = None if config.edges.group == "none" else config.edges.group
    return Plan(
        methods=chosen,
        categories=config.data.categories,
        group=group,
        window=config.edges.window,
        dry_edge=config.data.dry_edge,
        inner=config.split.inner,
        stack="ensemble" in config.models,
        shrinkage=None if config.model.shrinkage == "auto" else config.model.shrinkage,
        settings=Settings(**details, power=power, cycle=group is not None, seed=config.seed, threads=threads),
    )


def make_blocks(starts: np.ndarray, config: S2sConfig) -> np.ndarray:
    """Return the label of the block of each start; refuse calendar years that tear a season, unless allowed.

    Raises
    ------
    UsageError
        If the starts fill part of the year across New Year and the blocks are calendar years.
    """
    months = starts.astype("datetime64[M]").astype(np.int64) % 12 + 1
    count = np.bincount(months, minlength=13)[1:]
    torn = (count == 0).any() and count[11] > 0 and count[0] > 0
    if config.split.blocks == "season":
        return year_blocks(starts, first_month=_first_month(count))
    if torn:
        if not config.split.allow_torn_seasons:
            raise UsageError(
                "calendar years tear the season of these starts at New Year, and its halves share weather",
                where='split.blocks = "year"',
                remedy='use blocks = "season", or set split.allow_torn_seasons = true',
            )
        log.warning("calendar years tear the season at New Year: the scores may be too good")
    return year_blocks(starts)


def _first_month(count: np.ndarray) -> int:
    """Return the middle of the longest run of months without starts, or December, so that DJF stays whole."""
    empty = count == 0
    if not empty.any():
        return 12
    best, length = 1, 0
    for month in range(12):
        run = 0
        while run < 12 and empty[(month + run) % 12]:
            run += 1
        if run > length:
            best, length = month + run // 2, run
    return best % 12 + 1


def make_folds(sample: Sample, blocks: np.ndarray, test: Any) -> list[Fold]:
    """Return the folds that are scored, without training cases whose truth reaches into the test part.

    Parameters
    ----------
    sample : Sample
        Its valid days are compared.
    blocks : (n,)
        Labels.
    test : "each", int or (first, last)
        As ``split.test``.

    Raises
    ------
    UsageError
        If the test blocks are not in the data or nothing is left to train on.
    """
    names = np.unique(blocks)
    if test == "each":
        parts = [np.array([name]) for name in names]
    else:
        first, last = (test, test) if isinstance(test, int) else test
        parts = [names[(names >= first) & (names <= last)]]
        if not len(parts[0]):
            raise UsageError(
                "no start lies in the test blocks",
                where=f"split.test = {test}",
                remedy=f"the data has {names[0]} to {names[-1]}",
            )
    folds = []
    for part in parts:
        held = np.isin(blocks, part)
        fold = Fold(np.flatnonzero(~held), np.flatnonzero(held), name="-".join(map(str, part[[0, -1]])))
        folds.append(drop_overlap(fold, sample.valid))
    return folds


Pooled = Callable[[int], Mapping[str, Any]]
"""From an inner part (-1: the whole training sample) to the methods that were grown on all cells for it."""


def nothing(part: int) -> Mapping[str, Any]:
    """Tell that no method was fitted before."""
    return {}


def fit(train: Sample, blocks: np.ndarray, plan: Plan) -> Fitted:
    """Fit all methods on a training sample, and the weights on forecasts from inside it.

    Parameters
    ----------
    train : Sample
        Training cases alone: what is not in it cannot leak.
    blocks : (n,)
        Their labels.
    plan : Plan
        What to fit.
    """
    weights: dict[str, float] = {}
    inner: dict[str, float] = {}
    if plan.stack:
        weights, inner = weigh(inner_grams(train, blocks, plan), plan)
    categories, models = fit_models(train, plan)
    return Fitted(categories, models, weights, inner)


def fit_models(
    train: Sample, plan: Plan, given: Mapping[str, Any] | None = None
) -> tuple[Categories, dict[str, Any]]:
    """Fit edges and single methods on a training sample; `given` trees get the scales of its cells."""
    categories = fit_categories(
        train,
        size=plan.categories,
        group=plan.group,
        window=plan.window,
        dry_edge=plan.dry_edge,
        of_models="raw" in plan.methods,
    )
    ready = given or {}
    models = {
        name: to_cells(ready[name], train, plan.settings)
        if name in ready
        else fit_method(name, train, categories, plan.settings)
        for name in plan.methods
    }
    return categories, models


def prepared(sample: Sample, plan: Plan) -> Sample:
    """Return the sample with the statistics that the methods of a plan ask for worked out.

    Its members are left out where no method of the plan looks at them one by one: it is cut into folds often.
    """
    names = {"logistic": plan.settings.logistic_predictors}
    names |= {name: plan.settings.tree_predictors for name in POOLED}
    wanted = {(p, plan.settings.power) for m in plan.methods for p in names.get(m, ()) if p != "season"}
    if "emos" in plan.methods:
        wanted |= {(name, power_of(sample.kind)) for name in ("mean", "spread")}
    ready = remember(sample, wanted)
    if "raw" in plan.methods or sample.sources or sample.forecast is None:
        return ready
    return replace(ready, forecast=sample.forecast[:, :, :0])


def inner_folds(train: Sample, blocks: np.ndarray, plan: Plan) -> list[Fold]:
    """Return the folds inside a training sample that give the out-of-fold forecasts for the weights."""
    number = min(plan.inner, len(np.unique(blocks)))
    parts = k_fold(blocks, k=number, seed=plan.settings.seed)
    return [drop_overlap(part, train.valid) for part in parts]


@dataclass(frozen=True, eq=False)
class Grams:
    """What the weights are made from: sums over cells, so that those of several sets of cells add up.

    Attributes
    ----------
    matrices : (blocks, m, m)
        `gram` of the out-of-fold forecasts of each training block; climatology is the first of the m methods.
    mass : (blocks,)
        Weight of their cases.
    """

    matrices: np.ndarray
    mass: np.ndarray

    def __add__(self, other: Grams) -> Grams:
        return Grams(self.matrices + other.matrices, self.mass + other.mass)


def inner_grams(train: Sample, blocks: np.ndarray, plan: Plan, pooled: Pooled = nothing) -> Grams:
    """Forecast the cases of each inner part by fits on the others; `pooled` methods were fitted before."""
    area = None if train.latitude is None else np.cos(np.deg2rad(train.latitude)).clip(0.0)
    matrices, mass = [], []
    for number, fold in enumerate(inner_folds(train, blocks, plan)):
        held, labels = train.take(fold.test), blocks[fold.test]
        categories, models = fit_models(train.take(fold.train), plan, pooled(number))
        found, codes = predict_singles(models, categories, held), categories.codes(held)
        for label in np.unique(labels):
            here = labels == label
            matrix, weight = gram({n: p[here] for n, p in found.items()}, codes[here], weights=area)
            matrices.append(matrix)
            mass.append(weight)
    return Grams(np.stack(matrices), np.array(mass))


def weigh(grams: Grams, plan: Plan) -> tuple[dict[str, float], dict[str, float]]:
    """Return the weights of the methods in the ensemble, and the RPS of each in the out-of-fold forecasts."""
    names = ["climatology", *plan.methods]
    some = grams.mass > 0
    if not some.any():
        return {name: float(name == "climatology") for name in names}, {}
    mean = grams.matrices[some].sum(axis=0) / grams.mass[some].sum()
    blocks = list(zip(grams.matrices[some], grams.mass[some].tolist(), strict=True))
    weights = choose_weights(blocks, [FAMILIES[name] for name in names], shrinkage=plan.shrinkage)
    return (
        dict(zip(names, map(float, weights), strict=True)),
        dict(zip(names, map(float, np.diag(mean)), strict=True)),
    )
