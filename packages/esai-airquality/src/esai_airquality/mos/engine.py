"""The operational run: a state that goes from issue day to issue day, one at a time or many at once.

A forecast of lead ``k`` for day ``t`` is issued when the observations of day ``t - k`` are known, and takes
no later one. Day by day or all at once gives the same bits, as each step reads the same values in the same
order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from esai_airquality.mos.alerts import learn_rule
from esai_airquality.mos.blending import blend, convex_weights
from esai_airquality.mos.boosting import fit_trees
from esai_airquality.mos.config import MosSection
from esai_airquality.mos.conformal import widened
from esai_airquality.mos.features import analog_features, features
from esai_airquality.mos.kernels import analogs, kalman, moving_average, persistence
from esai_airquality.mos.quantiles import count_pairs, map_quantiles, quantiles_of
from esai_airquality.mos.state import KINDS, PERCENTILES, STEADY, State, value_methods, wanted_methods

__all__ = ["advance"]

log = logging.getLogger(__name__)

BOUNDS = ("lower", "upper")
BLEND_CASES = 240


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
    wanted = wanted_methods(config)
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
    if "blend" in wanted:
        _blend(state, config, lead, begin, (first, last), due)
    if config.interval:
        _interval(state, config, lead, begin, stop)


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
    kinds: dict[str, str] = {name: KINDS[name] for name in config.methods if name in KINDS}
    if kinds and config.interval:
        kinds |= {side: side for side in BOUNDS}
    panel, made = state.panel, state.predictions
    if kinds and due:
        known = begin + 1  # days whose observations are there
        rows = features(panel, made, lead=lead, first=lead, stop=known)
        target = panel.observed[lead:known]
        for name in kinds:
            state.trees[f"{name}/{lead}"] = fit_trees(
                rows, target, kind=kinds[name], config=config, seed=seed + 1000 * lead + begin
            )
        log.info("day %d, lead %d: fitted %s to %d days", begin, lead, ", ".join(kinds), known - lead)
        if "gbm_alert" in kinds:
            _learn(state, config, lead, known)
    if not kinds or f"{next(iter(kinds))}/{lead}" not in state.trees:
        return
    first, last = span
    rows = features(panel, made, lead=lead, first=first, stop=last)
    for name in kinds:
        values = state.trees[f"{name}/{lead}"].predict(rows)
        if name != "gbm_alert":
            made[f"raw_{name}" if name in BOUNDS else name][lead][first:last] = values
            continue
        rule = state.rules[lead]
        chance = rule.calibrate(values)
        made["raw_chance"][lead][first:last] = values
        made["chance"][lead][first:last] = chance
        made[name][lead][first:last] = np.where(
            np.isfinite(chance), chance >= np.float32(rule.cutoff), np.nan
        )


def _blend(state: State, config: MosSection, lead: int, begin: int, span: tuple[int, int], due: bool) -> None:
    """Learn the weights of the blend where that is due, and issue it for the target days `span`."""

    def members(days: slice) -> list[NDArray]:
        return [
            (state.panel.forecasts if name == "raw" else state.predictions[name])[lead][days]
            for name in value_methods(config)
        ]

    if due:
        past = slice(config.spin_up, begin + 1)
        came, issued = state.panel.observed[past], members(past)
        both = np.logical_and.reduce([np.isfinite(came), *(np.isfinite(values) for values in issued)])
        if both.sum() >= BLEND_CASES:
            columns = np.stack([values[both].astype(np.float64) for values in issued], axis=1)
            state.weights[lead] = convex_weights(columns, came[both])
    made = blend(members(slice(*span)), state.weights[lead])
    state.predictions["blend"][lead][span[0] : span[1]] = made


def _interval(state: State, config: MosSection, lead: int, begin: int, stop: int) -> None:
    """Issue the intervals of the days that follow from issue days `begin` to `stop` - 1.

    Raw bounds are those of the trees, else a steady method and its mean error of 30 days on both sides.
    """
    made, panel = state.predictions, state.panel
    first, last = begin + lead, min(stop + lead, len(panel.days))
    raw = [made[f"raw_{side}"][lead] for side in BOUNDS]
    if not any(name in KINDS for name in config.methods):
        low = max(begin - 29, 0)
        name = next(name for name in STEADY if name in config.methods)
        centre = (panel.forecasts if name == "raw" else made[name])[lead][low:last].astype(np.float64)
        error = np.abs(centre[: stop - low] - panel.observed[low:stop])
        width = persistence(error, lead=lead, count=30, first=first - low, stop=last - low)
        raw[0][first:last] = centre[first - low :] - width
        raw[1][first:last] = centre[first - low :] + width
    origin = max(begin - config.interval_days + 1, 0)
    raw_lower, raw_upper = (values[origin:last].astype(np.float64) for values in raw)
    lower, upper = widened(
        raw_lower,
        raw_upper,
        panel.observed[origin:stop],
        lead=lead,
        begin=begin - origin,
        stop=stop - origin,
        window=config.interval_days,
        level=config.interval,
    )
    made["lower"][lead][first:last], made["upper"][lead][first:last] = lower, upper


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
