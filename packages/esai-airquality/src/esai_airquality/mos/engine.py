"""The operational run: a state that goes from issue day to issue day, one at a time or many at once.

A forecast of lead ``k`` for day ``t`` is issued when the observations of day ``t - k`` are known, and takes
no later
one. Day by day or all at once gives the same bits, as each step reads the same values in the same order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from esai_airquality.mos.alerts import AlertRule, learn_rule
from esai_airquality.mos.boosting import Trees, fit_trees
from esai_airquality.mos.config import MosSection
from esai_airquality.mos.features import analog_features, features
from esai_airquality.mos.kernels import analogs, kalman, moving_average, persistence
from esai_airquality.mos.panel import Panel
from esai_airquality.mos.quantiles import BINS, count_pairs, map_quantiles, quantiles_of
from esai_core.errors import InputError

__all__ = ["State", "advance", "extend", "known_days", "start"]

log = logging.getLogger(__name__)

PERCENTILES = np.arange(1, 100) / 100
KINDS = {"gbm": "mean", "gbm_weighted": "weighted", "gbm_alert": "event"}
GBM_NEEDS = ("pers", "ma", "kf", "an")


@dataclass
class State:
    """What an operational run keeps from day to day.

    Attributes
    ----------
    panel : Panel
        All forecasts and observations so far (the sample store).
    issued : int
        Days whose observations have been used.
    predictions : mapping of str to mapping of int to float32 array (day, hour, station)
        Method to lead to what was issued, by valid day; ``"chance"`` holds calibrated chances of an event and
        ``"gbm_alert"`` 1 for an alert, ``"raw_chance"`` chances before calibration.
    kalman : mapping of int to array (2, hour, station)
        x and p of each lead.
    histograms : mapping of int to int32 array (2, station, BINS)
        Of past forecasts and observations.
    maps : mapping of int to array (2, station, 99)
        Quantiles in use.
    trees : mapping of str to Trees
        ``"METHOD/LEAD"`` to what is in use.
    rules : mapping of int to AlertRule
        In use.
    history : list
        One entry for each refresh of an alert rule.
    """

    panel: Panel
    issued: int = 0
    predictions: dict[str, dict[int, NDArray[np.float32]]] = field(default_factory=dict)
    kalman: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    histograms: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    maps: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    trees: dict[str, Trees] = field(default_factory=dict)
    rules: dict[int, AlertRule] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def known_days(panel: Panel) -> int:
    """Count the days up to the last one with an observation."""
    seen = np.isfinite(panel.observed).any(axis=(1, 2))
    return int(np.flatnonzero(seen)[-1]) + 1 if seen.any() else 0


def _wanted(config: MosSection) -> list[str]:
    """Methods to run: those asked for and those that the trees are fed with."""
    names: list[str] = [name for name in config.methods if name != "raw"]
    if any(name in KINDS for name in names):
        names += [name for name in GBM_NEEDS if name not in names]
    return names


def start(panel: Panel, config: MosSection) -> State:
    """Begin before the first day.

    Parameters
    ----------
    panel : Panel
        Forecasts and observations; more can be added with `extend`.
    config : MosSection
        Methods and leads.

    Returns
    -------
    State
    """
    days, hours, stations = panel.observed.shape
    state = State(panel)
    names = [*_wanted(config), *(("chance", "raw_chance") if "gbm_alert" in config.methods else ())]
    for lead in config.leads:
        for name in names:
            empty = np.full((days, hours, stations), np.nan, np.float32)
            state.predictions.setdefault(name, {})[lead] = empty
        state.kalman[lead] = np.stack([np.zeros((hours, stations)), np.ones((hours, stations))])
        if "qm" in config.methods:
            state.histograms[lead] = np.zeros((2, stations, BINS), np.int32)
            state.maps[lead] = np.full((2, stations, len(PERCENTILES)), np.nan)
        if "gbm_alert" in config.methods:
            state.rules[lead] = AlertRule(1.0, 0.0, config.first_cutoff, 0)
    return state


def extend(state: State, panel: Panel) -> State:
    """Add days to the store; what was used already stays as it was.

    Parameters
    ----------
    state : State
        Of the days before.
    panel : Panel
        New days, all of them after or overlapping the days that are known.

    Returns
    -------
    State
        With a longer panel.

    Raises
    ------
    InputError
        If stations or predictors differ, or days are missing between.
    """
    old = state.panel
    if panel.stations != old.stations or list(panel.meteorology) != list(old.meteorology):
        raise InputError(
            f"the new data hold {len(panel.stations)} stations, the run {len(old.stations)}, or other "
            f"predictors",
            where="data.forecast",
            remedy="give the same stations and predictors, or start a new run",
        )
    offset = int((panel.days[0] - old.days[0]).astype(int))
    if not 0 <= offset <= len(old.days):
        raise InputError(
            f"the new data begin on {panel.days[0]}, the run ends on {old.days[-1]}",
            where="data.forecast",
            remedy="leave no gap",
        )
    total = max(len(old.days), offset + len(panel.days))
    keep = state.issued
    days = old.days[0] + np.arange(total).astype("timedelta64[D]")

    def join(before: NDArray, after: NDArray | None, used: int) -> NDArray:
        out = np.full((total, *before.shape[1:]), np.nan, before.dtype)
        out[: len(before)] = before
        if after is not None:
            new = np.isfinite(after[max(used - offset, 0) :])
            part = out[max(used, offset) : offset + len(after)]
            part[new] = after[max(used - offset, 0) :][new]
        return out

    forecasts = {lead: join(a, panel.forecasts.get(lead), keep) for lead, a in old.forecasts.items()}
    meteorology = {
        name: {lead: join(a, panel.meteorology[name].get(lead), keep) for lead, a in by_lead.items()}
        for name, by_lead in old.meteorology.items()
    }
    joined = replace(
        old,
        days=days,
        observed=join(old.observed, panel.observed, keep),
        forecasts=forecasts,
        meteorology=meteorology,
    )
    predictions = {
        name: {lead: join(a, None, 0) for lead, a in by_lead.items()}
        for name, by_lead in state.predictions.items()
    }
    return replace(state, panel=joined, predictions=predictions)


def advance(
    state: State,
    config: MosSection,
    *,
    until: int,
    seed: int = 0,
    saved: Callable[[State], object] | None = None,
) -> State:
    """Use the observations of further days and issue the forecasts that follow from them; changes `state`.

    Forecasts have to be there through the day after the last target day (its first hours are predictors of
    the last
    hours before midnight); a target day without a forecast when its issue day is used gets none later.

    Parameters
    ----------
    state : State
        From `start`, `load_state` or an earlier call.
    config : MosSection
        As it was at the start.
    until : int
        Days to have used at the end; days used before are not used again.
    seed : int
        Of the boosting.
    saved : callable, optional
        Called with the state after every stretch between refreshes, to save it.

    Returns
    -------
    State
        `state`.
    """
    while state.issued < until:
        turns = [_next_turn(state.issued, lead, config.refresh) for lead in config.leads]
        turns += [config.spin_up - lead for lead in config.leads if config.spin_up - lead > state.issued]
        stop = min([until, *turns])
        for lead in config.leads:
            _stretch(state, config, lead, state.issued, stop, seed)
        state.issued = stop
        if saved is not None:
            saved(state)
    return state


def _next_turn(issue: int, lead: int, refresh: int) -> int:
    """First issue day after `issue` whose target day refreshes the models."""
    return (((issue + lead) // refresh) + 1) * refresh - lead


def _stretch(state: State, config: MosSection, lead: int, begin: int, stop: int, seed: int) -> None:
    """Issue days `begin` to `stop` - 1 of one lead; models are refreshed on the first of them at most."""
    panel = state.panel
    days = len(panel.days)
    first, last = min(begin + lead, days), min(stop + lead, days)  # target days
    forecast, observed = panel.forecasts[lead], panel.observed
    due = (begin + lead) % config.refresh == 0 and begin + lead >= config.spin_up
    wanted = _wanted(config)
    made = state.predictions

    x = kalman(
        state.kalman[lead][0],
        state.kalman[lead][1],
        forecast[begin:stop],
        observed[begin:stop],
        config.kf_ratio,
    )
    if "qm" in state.predictions:
        count_pairs(state.histograms[lead], forecast[begin : begin + 1], observed[begin : begin + 1])
        if due:
            state.maps[lead] = np.stack([quantiles_of(part, PERCENTILES) for part in state.histograms[lead]])
        count_pairs(state.histograms[lead], forecast[begin + 1 : stop], observed[begin + 1 : stop])
    if first >= last:
        return
    span = {"lead": lead, "first": first, "stop": last}
    if "pers" in wanted:
        made["pers"][lead][first:last] = persistence(observed, count=config.pers_days, **span)
    if "ma" in wanted:
        made["ma"][lead][first:last] = moving_average(forecast, observed, count=config.ma_days, **span)
    if "kf" in wanted:
        made["kf"][lead][first:last] = np.maximum(forecast[first:last] - x[: last - first], 0.0)
    if "qm" in wanted:
        made["qm"][lead][first:last] = map_quantiles(forecast[first:last], *state.maps[lead])
    if "an" in wanted:
        near = analog_features(panel, lead, last)
        weights = (
            _weights(near, config.spin_up) if first >= config.spin_up else _weights(near[:3], 0, len(near))
        )
        made["an"][lead][first:last] = analogs(near, observed, weights=weights, count=config.an_count, **span)
    _trees(state, config, lead, begin, (first, last), due, seed)


def _weights(near: NDArray, spin_up: int, length: int | None = None) -> NDArray[np.float64]:
    """Weight of each variable of the analogs: 1 for the forecast, for meteorology its variance over that.

    Taken from the days of the spin-up, so that it is the same at any later time.
    """
    weights = (
        np.ones(len(near)) if length is None else np.r_[np.ones(len(near)), np.zeros(length - len(near))]
    )
    for number in range(3, len(near)):
        spread, own = np.nanvar(near[number, :spin_up]), np.nanvar(near[1, :spin_up])
        weights[number] = own / spread if spread > 0 else 0.0
    return weights


def _trees(
    state: State, config: MosSection, lead: int, begin: int, span: tuple[int, int], due: bool, seed: int
) -> None:
    """Fit trees where they are due, and issue the forecasts of the target days `span`."""
    kinds = [name for name in config.methods if name in KINDS]
    panel, made = state.panel, state.predictions
    if kinds and due:
        known = begin + 1  # days whose observations are there
        rows = features(panel, made, lead=lead, first=lead, stop=known)
        target = panel.observed[lead:known]
        for name in kinds:
            state.trees[f"{name}/{lead}"] = fit_trees(
                rows, target, kind=KINDS[name], config=config, seed=seed + 1000 * lead + begin
            )
        log.info("day %d, lead %d: fitted %s to %d days", begin, lead, ", ".join(kinds), known - lead)
        if "gbm_alert" in kinds:
            _learn(state, config, lead, known)
    if not kinds or f"{kinds[0]}/{lead}" not in state.trees:
        return
    first, last = span
    rows = features(panel, made, lead=lead, first=first, stop=last)
    for name in kinds:
        values = state.trees[f"{name}/{lead}"].predict(rows)
        if name != "gbm_alert":
            made[name][lead][first:last] = values
            continue
        rule = state.rules[lead]
        chance = rule.calibrate(values)
        made["raw_chance"][lead][first:last] = values
        made["chance"][lead][first:last] = chance
        made[name][lead][first:last] = np.where(
            np.isfinite(chance), chance >= np.float32(rule.cutoff), np.nan
        )


def _learn(state: State, config: MosSection, lead: int, known: int) -> None:
    """Learn the alert rule of a lead from what was issued for the first `known` days and what came."""
    chance, came = state.predictions["raw_chance"][lead][:known], state.panel.observed[:known]
    both = np.isfinite(chance) & np.isfinite(came)
    rule = learn_rule(chance[both], came[both] > config.event, first_cutoff=config.first_cutoff)
    state.rules[lead] = rule
    entry = {
        "lead": lead,
        "day": known,
        "cutoff": rule.cutoff,
        "slope": rule.slope,
        "intercept": rule.intercept,
    }
    state.history.append({**entry, "cases": rule.cases})
