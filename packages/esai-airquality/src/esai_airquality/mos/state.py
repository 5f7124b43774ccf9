"""What an operational run keeps from day to day, and how it begins and grows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from esai_airquality.mos.alerts import AlertRule
from esai_airquality.mos.boosting import Trees
from esai_airquality.mos.config import MosSection
from esai_airquality.mos.panel import Panel
from esai_airquality.mos.quantiles import BINS
from esai_core.errors import InputError

__all__ = [
    "KINDS",
    "PERCENTILES",
    "STEADY",
    "State",
    "extend",
    "known_days",
    "start",
    "value_methods",
    "wanted_methods",
]

PERCENTILES = np.arange(1, 100) / 100
KINDS = {"gbm": "mean", "gbm_weighted": "weighted", "gbm_alert": "event"}
GBM_NEEDS = ("pers", "ma", "kf", "an")
STEADY = ("kf", "ma", "an", "qm", "pers", "raw", "gbm", "gbm_weighted")
"""What to trust before there is a past, best first."""


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
        Method to lead to what was issued, by valid day; ``"chance"`` holds calibrated chances of an event,
        ``"raw_chance"`` those before calibration, ``"gbm_alert"`` 1 for an alert, ``"lower"`` and ``"upper"``
        bounds of the interval, ``"raw_lower"`` and ``"raw_upper"`` those before their widening.
    kalman : mapping of int to array (2, hour, station)
        x and p of each lead.
    histograms : mapping of int to int32 array (2, station, BINS)
        Of past forecasts and observations.
    maps : mapping of int to array (2, station, 99)
        Quantiles in use.
    weights : mapping of int to array (member,)
        Of the blend, in the order of the config's methods.
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
    weights: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    trees: dict[str, Trees] = field(default_factory=dict)
    rules: dict[int, AlertRule] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


def known_days(panel: Panel) -> int:
    """Count the days up to the last one with an observation."""
    seen = np.isfinite(panel.observed).any(axis=(1, 2))
    return int(np.flatnonzero(seen)[-1]) + 1 if seen.any() else 0


def value_methods(config: MosSection) -> list[str]:
    """Name the methods that give concentrations, without the blend of them."""
    return [name for name in config.methods if name not in ("gbm_alert", "blend")]


def wanted_methods(config: MosSection) -> list[str]:
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
    names = [*wanted_methods(config), *(("chance", "raw_chance") if "gbm_alert" in config.methods else ())]
    names += ["lower", "upper", "raw_lower", "raw_upper"] if config.interval else []
    for lead in config.leads:
        for name in names:
            empty = np.full((days, hours, stations), np.nan, np.float32)
            state.predictions.setdefault(name, {})[lead] = empty
        state.kalman[lead] = np.stack([np.zeros((hours, stations)), np.ones((hours, stations))])
        if "qm" in config.methods:
            state.histograms[lead] = np.zeros((2, stations, BINS), np.int32)
            state.maps[lead] = np.full((2, stations, len(PERCENTILES)), np.nan)
        if "blend" in config.methods:
            members = value_methods(config)
            first = next(name for name in STEADY if name in members)
            state.weights[lead] = np.array([float(name == first) for name in members])
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
