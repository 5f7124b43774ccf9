"""What drives the forecasts: the skill that methods and ensemble lose when a predictor is shuffled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from esai_core.explain import Attribution, permutation_importance, randomisation_check
from esai_core.explain.sanity import RandomisationCheck
from esai_core.splits import Fold, drop_overlap
from esai_s2s.fitting import Plan, fit_models, predict_singles
from esai_s2s.methods.registry import MultiModel
from esai_s2s.methods.stacking import mix
from esai_s2s.predictors import Predictors
from esai_s2s.sample import Categories, Sample

__all__ = ["CELLS", "Drivers", "drivers_of_dict", "drivers_to_dict", "explaining_fold", "find_drivers"]

CELLS = 10
"""Cells of a grid, at equal steps, that the drivers are looked for on: enough for a rank, and cheap."""
REPEATS = 5
SHUFFLED_FITS = 10
"""Single ones agree with the truth by chance: a coefficient that was drawn has the right sign in half."""


@dataclass(frozen=True, eq=False)
class Drivers:
    """Importance of the predictors, and whether it depends on what was learnt.

    Attributes
    ----------
    attributions : list of Attribution
        Of the ensemble where there is one, then of each method that has predictors.
    check : RandomisationCheck or None
        Of the first attribution by month, against methods fitted to truth whose blocks changed places. None
        where nothing was learnt that could be destroyed.
    """

    attributions: list[Attribution]
    check: RandomisationCheck | None


@dataclass(frozen=True, eq=False)
class _Given(Predictors):
    """Predictors whose columns are given, whatever the sample: (n, p, cells)."""

    values: np.ndarray

    def columns_of(self, sample: Sample) -> np.ndarray:
        return self.values


def explaining_fold(folds: list[Fold], blocks: np.ndarray, sample: Sample) -> Fold:
    """Return the cases to fit on and those to explain: the test part, or every third block.

    Where each block is held out in turn, the importance on one of them is that of a few weather regimes; a
    third of the blocks tells more.
    """
    if len(folds) == 1:
        return folds[0]
    held = np.isin(blocks, np.unique(blocks)[1::3])
    fold = Fold(np.flatnonzero(~held), np.flatnonzero(held), name="every third block")
    return drop_overlap(fold, sample.valid)


def find_drivers(
    sample: Sample, blocks: np.ndarray, fold: Fold, plan: Plan, weights: Mapping[str, float], *, seed: int
) -> Drivers:
    """Fit every method on a part, and shuffle its predictors on the cases that it has not seen.

    Raw counts have no predictors to compare, and are left out of the ensemble here. Shuffled are the
    standardised anomalies, as the methods read them, so that a case gets the anomaly of another one and not
    its season.

    Parameters
    ----------
    sample : Sample
        Of few cells.
    blocks : (n,)
        Labels; for the check whole blocks of truth change places.
    fold : Fold
        Of `explaining_fold`.
    plan : Plan
    weights : mapping of str to float
        Of the ensemble; empty: there is none.
    seed : int
        Of all shuffling.
    """
    names = tuple(name for name in plan.methods if name != "raw")
    plan = replace(plan, methods=names, settings=replace(plan.settings, max_rows=20_000))
    train, held = sample.take(fold.train), sample.take(fold.test)
    categories, models = fit_models(train, plan)
    months = held.starts.astype("datetime64[M]").astype(np.int64) % 12 + 1
    wanted = ["ensemble", *names] if weights and models else list(names)
    explain = partial(
        _importance, categories=categories, held=held, weights=weights, months=months, seed=seed
    )
    found = [explain(models, name, repeats=REPEATS) for name in wanted]
    check = None
    if found and np.abs(found[0].values).max() > 0:
        used = [name for name in names if wanted[0] in ("ensemble", name) and weights.get(name, 1.0) > 0.0]
        lean = replace(plan, methods=tuple(used))

        def randomised(number: int) -> np.ndarray:
            order = _moved_blocks(blocks[fold.train], np.random.default_rng([seed, number]))
            false = replace(train, observed=train.observed[order])
            _, learnt = fit_models(false, lean)
            return _pattern(explain(learnt, wanted[0], repeats=1), found[0].names)

        pattern = _pattern(found[0], found[0].names)
        if pattern.size >= 3:
            check = randomisation_check(pattern, randomised, count=SHUFFLED_FITS)
    return Drivers(found, check)


def _pattern(attribution: Attribution, names: tuple[str, ...]) -> np.ndarray:
    """Return the importance by month of the named predictors, (months, names); 0 where one is not read."""
    place = {name: i for i, name in enumerate(attribution.names)}
    parts = attribution.by.values()
    return np.array([[part[place[name]] if name in place else 0.0 for name in names] for part in parts])


def _moved_blocks(blocks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return from which row each row takes its truth, when each block takes the place of another."""
    rows = [np.flatnonzero(blocks == name) for name in np.unique(blocks)]
    order = np.empty(len(blocks), dtype=np.int64)
    ring = rng.permutation(len(rows))  # one round of all blocks: none stays where its truth belongs
    for mine, donor in zip(ring, np.roll(ring, 1), strict=True):
        order[rows[mine]] = np.resize(rows[donor], len(rows[mine]))
    return order


def _importance(
    models: Mapping[str, Any],
    method: str,
    *,
    categories: Categories,
    held: Sample,
    weights: Mapping[str, float],
    months: np.ndarray,
    seed: int,
    repeats: int,
) -> Attribution:
    """Return the importance of the predictors of a method, or of all together in the ensemble."""
    used = models if method == "ensemble" else {method: models[method]}
    parts = {name: _columns(model, held) for name, model in used.items()}
    x = np.concatenate([values.transpose(0, 2, 1) for _, values in parts.values()], axis=-1)
    place = [(name, column) for name, (columns, _) in parts.items() for column in columns]
    groups: dict[str, list[str]] = {}
    for name, column in place:
        label = column.replace("sin", "season").replace("cos", "season")
        groups.setdefault(label, []).append(f"{name}/{column}")

    def predict(values: np.ndarray) -> np.ndarray:
        changed, first = {}, 0
        for name, (columns, _) in parts.items():
            own = values[..., first : first + len(columns)].transpose(0, 2, 1)
            changed[name] = _with_columns(used[name], own)
            first += len(columns)
        found = predict_singles(changed, categories, held)
        return mix(found, weights) if method == "ensemble" else found[method]

    return replace(
        permutation_importance(
            predict,
            x,
            categories.codes(held),
            names=[f"{name}/{column}" for name, column in place],
            groups=groups,
            by=months,
            loss=_rps,
            units="increase of the RPS",
            repeats=repeats,
            seed=seed,
        ),
        method=f"{method}, permutation",
    )


def _rps(codes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the RPS of each case (n, cells); NaN where truth or forecast is missing."""
    cumulative = probabilities.cumsum(axis=-1)[..., :-1]
    happened = codes[..., None] <= np.arange(cumulative.shape[-1])
    return np.where(np.isnan(codes), np.nan, ((cumulative - happened) ** 2).sum(axis=-1))


def _columns(model: Any, sample: Sample) -> tuple[list[str], np.ndarray]:
    """Return the predictors of a method, (n, p, cells); of several forecast models one after the other."""
    if not isinstance(model, MultiModel):
        return model.predictors.columns, model.predictors.columns_of(sample)
    names: list[str] = []
    values = []
    for number, (source, part) in enumerate(zip(model.names, model.parts, strict=True)):
        if part is not None:
            names += [f"{source}: {name}" for name in part.predictors.columns]
            values.append(part.predictors.columns_of(sample.of_source(number)))
    return names, np.concatenate(values, axis=1)


def _with_columns(model: Any, values: np.ndarray) -> Any:
    """Return the method reading the given columns (n, p, cells)."""
    if not isinstance(model, MultiModel):
        own: Predictors = model.predictors
        return replace(model, predictors=_Given(own.names, own.power, own.states, values))
    parts, first = [], 0
    for part in model.parts:
        width = 0 if part is None else len(part.predictors.columns)
        parts.append(None if part is None else _with_columns(part, values[:, first : first + width]))
        first += width
    return replace(model, parts=tuple(parts))


def drivers_to_dict(drivers: Drivers) -> dict[str, Any]:
    """Give it as JSON can hold it."""
    check = None if drivers.check is None else asdict(drivers.check)
    return {"attributions": [one.to_dict() for one in drivers.attributions], "check": check}


def drivers_of_dict(kept: Mapping[str, Any]) -> Drivers:
    """Make it again from `drivers_to_dict`."""
    check = kept["check"]
    return Drivers(
        [Attribution.from_dict(one) for one in kept["attributions"]],
        None
        if check is None
        else RandomisationCheck(**{**check, "correlations": tuple(check["correlations"])}),
    )
