"""What corrected forecasts follow: contributions of predictors, members and past errors, and a check."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_airquality.mos.blending import convex_weights
from esai_airquality.mos.boosting import fit_trees, load_trees
from esai_airquality.mos.config import MosConfig
from esai_airquality.mos.features import feature_names, features
from esai_airquality.mos.state import KINDS, State, value_methods
from esai_core.explain import (
    Drivers,
    mean_size,
    permutation_importance,
    randomisation_check,
    shap_values,
    shapley_importance,
)

__all__ = ["explain_delivered", "explain_trees"]

_CASES = 1500
_CHECKS = 5
_HOURS = ("00-05 h", "06-11 h", "12-17 h", "18-23 h")


def _last_days(state: State, config: MosConfig) -> tuple[int, int]:
    """Target days since the last refresh: no model in use was fitted to them."""
    days, refresh = len(state.panel.days), config.mos.refresh
    return ((days - 1) // refresh) * refresh, days


def _sample(state: State, config: MosConfig, lead: int, there: NDArray, seed: int) -> tuple[NDArray, ...]:
    """Draw some of the cases of the last days that are there: positions of day, hour and station."""
    first, stop = _last_days(state, config)
    known = np.isfinite(state.panel.observed[first:stop]) & there[first:stop]
    place = np.argwhere(known)
    chosen = np.random.default_rng(seed + lead).permutation(len(place))[:_CASES]
    return tuple(place[np.sort(chosen)].T)


def explain_trees(state: State, config: MosConfig, *, seed: int) -> Drivers | None:
    """Explain the boosted trees of the first lead: Shapley values, permutation of days, and a check.

    Parameters
    ----------
    state : State
        Of the end of the run.
    config : MosConfig
    seed : int
        Of the draws.

    Returns
    -------
    Drivers or None
        None where no trees of values for all stations are in use, or nothing was observed since their fit.
    """
    lead = config.mos.leads[0]
    name = next((one for one in ("gbm", "gbm_weighted") if f"{one}/{lead}" in state.trees), None)
    if (
        name is None
        or len(state.trees[f"{name}/{lead}"].saved) != 1
        or not state.trees[f"{name}/{lead}"].saved[0]
    ):
        return None
    trees = state.trees[f"{name}/{lead}"]
    first, stop = _last_days(state, config)
    rows = features(state.panel, state.predictions, lead=lead, first=first, stop=stop)
    day, hour, station = _sample(state, config, lead, np.isfinite(state.panel.forecasts[lead]), seed)
    if len(day) < 50:
        return None
    x, y = rows[day, hour, station], state.panel.observed[first:stop][day, hour, station]
    names = feature_names(state.panel)
    booster = load_trees(trees.saved[0], trees.threads)
    values = shap_values(booster, x)
    told = (
        mean_size(
            values, names=names, method="Shapley values", by=np.array(_HOURS)[hour // 6],
            units=f"mean size of the contribution ({state.panel.units})",
        ),
        permutation_importance(
            booster.inplace_predict, x, y, names=names, blocks=day if len(np.unique(day)) > 1 else None,
            repeats=2, units=f"increase of mse ({state.panel.units} squared)", seed=seed,
        ),
    )  # fmt: skip
    settings = config.mos.model_copy(update={"rounds": min(config.mos.rounds, 50), "scope": "global"})

    def of_chance(number: int) -> NDArray[np.float64]:
        other = np.random.default_rng(seed + number).permutation(y)
        found = fit_trees(x[:, None, None], other[:, None, None], kind="mean", config=settings, seed=number)
        return shap_values(load_trees(found.saved[0], trees.threads), x)

    check = randomisation_check(values, of_chance, count=_CHECKS)
    text = (
        f"Of `{name}`, lead {lead}, on {len(y):,} cases since its last fit. The check fits trees to "
        "observations in another order."
    )
    return Drivers(told, check, text)


def explain_delivered(state: State, config: MosConfig, delivered: str, *, seed: int) -> Drivers | None:
    """Explain the method that is delivered.

    Trees as `explain_trees` does; a blend by its members; any other as the raw forecast and what past errors
    change of it.

    Parameters
    ----------
    state, config
        Of the run.
    delivered : str
        Its method.
    seed : int
        Of the draws.
    """
    if delivered in KINDS:
        return explain_trees(state, config, seed=seed)
    lead = config.mos.leads[0]
    first, stop = _last_days(state, config)
    names = value_methods(config.mos) if delivered == "blend" else ["raw", delivered]

    def values(name: str) -> NDArray[np.float64]:
        made = state.panel.forecasts if name == "raw" else state.predictions[name]
        return made[lead][first:stop].astype(np.float64)

    columns = {name: values(name) for name in names}
    whole = np.zeros(state.panel.observed.shape, bool)
    whole[first:stop] = np.logical_and.reduce([np.isfinite(one) for one in columns.values()])
    at = _sample(state, config, lead, whole, seed)
    if len(at[0]) < 50:
        return None
    y, hours = state.panel.observed[first:stop][at], np.array(_HOURS)[at[1] // 6]
    x = np.stack([one[at] for one in columns.values()], axis=1)
    if delivered == "blend":
        return _of_blend(x, y, state.weights[lead], names, hours, at[0], units=state.panel.units, seed=seed)
    parts = np.stack([x[:, 0], x[:, 1] - x[:, 0]], axis=1)
    told = shapley_importance(
        SimpleNamespace(coef_=np.ones(2)), parts, by=hours,
        names=["raw forecast", f"correction by {delivered}"],
        units=f"mean size of the contribution ({state.panel.units})",
    )  # fmt: skip
    text = (
        f"`{delivered}` corrects the raw forecast by what it missed in the past: how much of the delivered "
        f"values varies with each, in the last days, lead {lead}. There is no fitted model to randomise."
    )
    return Drivers((told,), None, text)


def _of_blend(
    x: NDArray, y: NDArray, weights: NDArray, names: list[str], hours: NDArray, day: NDArray, *,
    units: str, seed: int,
) -> Drivers:  # fmt: skip
    """Explain a convex combination: it is linear in its members."""

    def sizes(coef: NDArray, **options: Any) -> Any:
        model = SimpleNamespace(coef_=coef)
        text = f"mean size of the contribution ({units})"
        return shapley_importance(model, x, names=names, units=text, **options)

    told = (
        sizes(weights, by=hours),
        permutation_importance(
            lambda members: members @ weights, x, y, names=names,
            blocks=day if len(np.unique(day)) > 1 else None, units=f"increase of mse ({units} squared)",
            seed=seed,
        ),
    )  # fmt: skip
    check = None
    if len(names) >= 3:
        check = randomisation_check(
            told[0].values,
            lambda number: (
                sizes(convex_weights(x, np.random.default_rng(seed + number).permutation(y))).values
            ),
            count=_CHECKS,
        )
    text = (
        "Of the blend, whose members are the other methods. The check blends for observations in another "
        "order; members that are alike can change places there."
    )
    return Drivers(told, check, text)
