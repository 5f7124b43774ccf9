"""Scores on the common sample: of values, of events, per lead, with block-bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_airquality.mos.config import MosConfig
from esai_airquality.mos.daily import d1max, d8max
from esai_airquality.mos.state import STEADY, State
from esai_airquality.units import factor
from esai_core import verify
from esai_core.uncertainty import interval_scores

__all__ = [
    "chosen_on_the_past",
    "common_sample",
    "daily_scores",
    "event_scores",
    "score_bounds",
    "score_choices",
    "skill_intervals",
    "value_scores",
    "verify_run",
]

Array = NDArray[np.float64]
VALUE_SCORES = ("nmb", "rmse", "nrmse", "pcc", "nmsdb", "bias", "mae")
CHANCE_SCORES = ("brier",)


def _table(values: NDArray) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, np.float64), dims="case")


def value_scores(forecast: Array, observed: Array) -> dict[str, float | None]:
    """Score values of cases: nmb and nmsdb and nrmse in percent.

    Parameters
    ----------
    forecast, observed : array (case,)
        Without missing values.

    Returns
    -------
    dict
        `VALUE_SCORES`; None where a score is not defined.
    """
    f, o = _table(forecast), _table(observed)
    found = {
        "nmb": verify.nmb(f, o),
        "rmse": verify.rmse(f, o),
        "nrmse": verify.nrmse(f, o),
        "pcc": verify.pearson_r(f, o),
        "nmsdb": verify.nmsdb(f, o),
        "bias": verify.bias(f, o),
        "mae": verify.mae(f, o),
    }
    return {name: _number(value) for name, value in found.items()}


def event_scores(
    said: NDArray[np.bool_], event: NDArray[np.bool_], rank: Array | None = None
) -> dict[str, float | None]:
    """Score yes/no forecasts: h, f, fb, sr, csi, pss, and auc of what ranks them.

    Parameters
    ----------
    said : bool array (case,)
        Whether an event was forecast.
    event : bool array (case,)
        Whether it came.
    rank : array (case,), optional
        Value or chance that the forecast was made from.
    """
    found = verify.categorical_scores(verify.contingency(_table(said), _table(event)))
    scores = {name: _number(found[name]) for name in verify.EVENT_SCORES}
    scores["auc"] = None if rank is None else _number(verify.auc(_table(rank), _table(event)))
    return scores


def _number(value: xr.DataArray) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def common_sample(state: State, config: MosConfig, lead: int, *, covered: bool = True) -> NDArray[np.bool_]:
    """Mark what all methods are scored on: observed, forecast by all, after the spin-up, station covered.

    Parameters
    ----------
    state, config, lead
        Of the run.
    covered : bool, default True
        Whether stations need ``data.min_coverage``, which is not known before the end.

    Returns
    -------
    bool array (day, hour, station)
    """
    panel = state.panel
    common = np.isfinite(panel.observed) & np.isfinite(panel.forecasts[lead])
    for name in config.mos.methods:
        if name != "raw":
            common &= np.isfinite(state.predictions[name][lead])
    if covered:
        common &= panel.coverage() >= config.data.min_coverage
    common[: config.mos.spin_up] = False
    return common


def _values(state: State, name: str, lead: int) -> Array:
    if name == "raw":
        return state.panel.forecasts[lead]
    return state.predictions[name][lead].astype(np.float64)


def _score_lead(state: State, config: MosConfig, lead: int, common: NDArray[np.bool_]) -> dict[str, dict]:
    observed = state.panel.observed[common]
    event = observed > config.mos.event
    table: dict[str, dict] = {}
    for name in config.mos.methods:
        if name == "gbm_alert":
            chance = state.predictions["chance"][lead][common].astype(np.float64)
            said = state.predictions[name][lead][common] == 1
            table[name] = dict.fromkeys(VALUE_SCORES) | event_scores(said, event, chance)
            table[name]["brier"] = _number(verify.brier(_table(chance), _table(event)))
        else:
            values = _values(state, name, lead)[common]
            table[name] = value_scores(values, observed) | event_scores(
                values > config.mos.event, event, values
            )
    return table


def chosen_on_the_past(state: State, config: MosConfig) -> tuple[str, list[dict]]:
    """Choose, at each refresh, the method with the lowest RMSE on all issued and observed before.

    One method for all leads: that of the lowest mean over the leads of the squared error. While fewer than
    two refreshes are to be judged by, that is the blend, where it is run, else the steadiest method.

    Returns
    -------
    tuple of str and list of dict
        The choice at the last refresh, and all choices: ``day``, ``method`` and what its RMSE was.
    """
    names = [name for name in config.mos.methods if name != "gbm_alert"]
    refresh, days = config.mos.refresh, len(state.panel.days)
    totals: dict[str, Array] = {name: np.zeros((len(config.mos.leads), days)) for name in names}
    counts = np.zeros((len(config.mos.leads), days))
    for row, lead in enumerate(config.mos.leads):
        common = common_sample(state, config, lead, covered=False)
        counts[row] = np.cumsum(common.sum(axis=(1, 2)))
        for name in names:
            error = np.where(common, _values(state, name, lead) - state.panel.observed, 0.0)
            totals[name][row] = np.cumsum((error**2).sum(axis=(1, 2)))
    best = next(name for name in ("blend", *STEADY) if name in names)
    choices: list[dict] = []
    for target in range(refresh, days, refresh):
        known = np.array([target - lead for lead in config.mos.leads])
        rows = np.arange(len(known))
        if (known < 0).any() or (counts[rows, known] == 0).any():
            continue
        square = {name: (totals[name][rows, known] / counts[rows, known]).mean() for name in names}
        if target >= config.mos.spin_up + 2 * refresh:
            best = min(square, key=lambda name: square[name])
        choice = {"day": str(state.panel.days[target]), "method": best}
        choices.append({**choice, "rmse": float(np.sqrt(square[best]))})
    return best, choices


def score_choices(state: State, config: MosConfig, choices: list[dict]) -> dict[int, float]:
    """Give the RMSE, by lead, of issuing at each time the method that was chosen at that time."""
    first = next(name for name in ("blend", *STEADY) if name in config.mos.methods)
    starts = {np.datetime64(choice["day"]): choice["method"] for choice in choices}
    found: dict[int, float] = {}
    for lead in config.mos.leads:
        common = common_sample(state, config, lead)
        made, method = np.empty_like(state.panel.observed), first
        for number, day in enumerate(state.panel.days):
            method = starts.get(day, method)
            made[number] = _values(state, method, lead)[number]
        if common.any():
            found[lead] = float(np.sqrt(np.mean((made - state.panel.observed)[common] ** 2)))
    return found


def score_bounds(state: State, config: MosConfig) -> dict[int, dict[str, float]]:
    """Score the intervals by lead, on days of which nothing was known when they were issued.

    Returns
    -------
    dict
        Lead to what `esai_core.uncertainty.interval_scores` gives, with ``raw_coverage``, that of the bounds
        before widening, and ``least_coverage_of_a_station``.
    """
    found: dict[int, dict[str, float]] = {}
    for lead in config.mos.leads if config.mos.interval else ():
        lower, upper = (state.predictions[name][lead] for name in ("lower", "upper"))
        there = common_sample(state, config, lead) & np.isfinite(lower) & np.isfinite(upper)
        if not there.any():
            continue
        observed = np.where(there, state.panel.observed, np.nan)
        rows = [state.predictions[f"raw_{name}"][lead][there] for name in ("lower", "upper")]
        o = observed[there]
        held = np.where(there, (observed >= lower) & (observed <= upper), 0)
        cases = there.sum(axis=(0, 1))
        share = (held.sum(axis=(0, 1)) / np.maximum(cases, 1))[cases > 0]
        weeks = np.arange(len(observed)) // 7
        found[lead] = {
            "level": config.mos.interval,
            **interval_scores(observed, lower, upper, coverage=config.mos.interval, blocks=weeks),
            "raw_coverage": float(np.mean((o >= np.minimum(*rows)) & (o <= np.maximum(*rows)))),
            "least_coverage_of_a_station": float(share.min()),
        }
    return found


def verify_run(state: State, config: MosConfig) -> dict:
    """Score all methods at all leads.

    Returns
    -------
    dict
        ``scores`` (the first lead), ``by_lead``, ``cases``, ``stations``.
    """
    by_lead, cases, stations = {}, {}, 0
    for lead in config.mos.leads:
        common = common_sample(state, config, lead)
        cases[lead] = int(common.sum())
        stations = max(stations, int(common.any(axis=(0, 1)).sum()))
        by_lead[lead] = _score_lead(state, config, lead, common) if cases[lead] else {}
    return {"scores": by_lead[config.mos.leads[0]], "by_lead": by_lead, "cases": cases, "stations": stations}


def daily_scores(state: State, config: MosConfig) -> dict[str, dict[str, dict]]:
    """Score the daily maxima of ozone: d1max above 180, d8max above 120 ug/m3.

    Returns
    -------
    dict
        ``{"d1max": {METHOD: {SCORE: value}}, "d8max": ...}``, of the first lead; empty for other species.
    """
    if config.data.species != "o3":
        return {}
    lead = config.mos.leads[0]
    scale = factor("ug/m3", config.data.units, species="o3")
    common = common_sample(state, config, lead)
    hourly = np.where(common, state.panel.observed, np.nan)
    tables: dict[str, dict[str, dict]] = {}
    for window, function, limit in (("d1max", d1max, 180.0), ("d8max", d8max, 120.0)):
        seen = function(hourly)
        there = np.isfinite(seen)
        if there.sum() < 2:
            continue
        event = seen[there] > limit * scale
        table: dict[str, dict] = {}
        for name in config.mos.methods:
            if name != "gbm_alert":
                values = function(np.where(common, _values(state, name, lead), np.nan))[there]
                table[name] = value_scores(values, seen[there]) | event_scores(
                    values > limit * scale, event, values
                )
        tables[window] = table
    return tables


def skill_intervals(
    state: State, config: MosConfig, delivered: str, *, seed: int
) -> Mapping[str, dict[str, float]]:
    """Give the RMSE skill of the delivered method against each other, with its 90 % interval.

    Blocks of 7 days, all stations together, are drawn with replacement.

    Returns
    -------
    mapping
        Method to ``estimate``, ``lower``, ``upper`` of ``1 - rmse(delivered) / rmse(method)``.
    """
    lead = config.mos.leads[0]
    common = common_sample(state, config, lead)
    days = common.any(axis=(1, 2))
    if days.sum() < 14:
        return {}

    def squares(name: str) -> xr.DataArray:
        error = np.where(common, _values(state, name, lead) - state.panel.observed, 0.0)
        return xr.DataArray((error**2).sum(axis=(1, 2))[days], dims="day")

    weight = common.sum(axis=(1, 2))[days].astype(np.float64)
    found: dict[str, dict[str, float]] = {}
    for name in config.mos.methods:
        if name in (delivered, "gbm_alert"):
            continue
        cases = xr.Dataset({"model": squares(delivered) / weight, "other": squares(name) / weight})
        result = verify.block_bootstrap(
            cases,
            dim="day",
            blocks=np.flatnonzero(days) // 7,
            combine=lambda m: 1 - np.sqrt(m.model / m.other),
            weights=xr.DataArray(weight, dims="day"),
            seed=seed,
        )
        found[name] = {key: float(result[key]) for key in ("estimate", "lower", "upper")}
    return found
