"""The steps of the job mos, in terms of its run folder: train, predict, evaluate, report."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import xarray as xr

from esai_airquality.mos.causes import find_causes
from esai_airquality.mos.config import MosConfig
from esai_airquality.mos.drivers import explain_delivered, explain_trees
from esai_airquality.mos.engine import advance
from esai_airquality.mos.panel import read_panel
from esai_airquality.mos.scoring import (
    chosen_on_the_past,
    daily_scores,
    score_bounds,
    score_choices,
    skill_intervals,
    verify_run,
)
from esai_airquality.mos.state import KINDS, State, extend, known_days, start, value_methods
from esai_airquality.mos.store import load_state, save_state
from esai_core.errors import InputError
from esai_core.io import write_netcdf
from esai_core.runs import RunFolder
from esai_core.uncertainty import Interval, with_interval

__all__ = ["evaluate", "predict", "report", "train"]

log = logging.getLogger(__name__)
STATE = "model/state.npz"


def train(config: MosConfig, run: RunFolder) -> None:
    """Go through the days as an operational run would have: writes ``model/state.npz``."""
    with run.stage("open"):
        panel = read_panel(config.data, config.mos.leads)
        if panel.dropped:
            log.warning("left out, never observed: %s", ", ".join(panel.dropped))
        known = known_days(panel)
        if known < config.mos.spin_up + max(config.mos.leads):
            raise InputError(
                f"{known} days with observations",
                where=config.data.observations,
                remedy=f"give more than the spin-up of {config.mos.spin_up} days and the leads",
            )
    saved = run.checkpoints / "state.npz"
    if run.resume and saved.exists():
        state = load_state(saved)
        log.info("going on after %d days", state.issued)
    else:
        state = start(panel, config.mos)
    with run.stage("fit"):
        advance(state, config.mos, until=known, seed=run.seed, saved=lambda state: save_state(state, saved))
        save_state(state, run.path(STATE))


def predict(config: MosConfig, run: RunFolder) -> None:
    """Use new days, where there are any, and write ``forecast.nc``.

    Days that were used before are not used again: repeating a day changes nothing.
    """
    with run.stage("predict"):
        state = load_state(run.find(STATE))
        before = (state.issued, len(state.panel.days))
        state = extend(state, read_panel(config.data, config.mos.leads))
        advance(state, config.mos, until=known_days(state.panel), seed=run.seed)
        if (state.issued, len(state.panel.days)) != before:
            save_state(state, run.path(STATE))
        delivered, _ = chosen_on_the_past(state, config)
        write_netcdf(
            _forecast(state, config, delivered),
            run.path("forecast.nc"),
            provenance={"title": f"{config.data.species} corrected at stations", "method": delivered},
        )


def _forecast(state: State, config: MosConfig, delivered: str) -> xr.Dataset:
    panel, leads = state.panel, list(config.mos.leads)
    time = pd.date_range(panel.days[0], periods=24 * len(panel.days), freq="h").as_unit("ns")
    dims = ("lead", "time", "station")

    def stack(by_lead: dict[int, np.ndarray]) -> np.ndarray:
        return np.stack([by_lead[lead].reshape(len(time), -1) for lead in leads])

    made = panel.forecasts if delivered == "raw" else state.predictions[delivered]
    attrs = {"units": {"ppb": "1e-9"}.get(panel.units, panel.units.replace("ug", "µg"))}
    variables = {
        config.data.species: (dims, stack(made), {**attrs, "long_name": f"corrected by {delivered}"}),
        f"{config.data.species}_raw": (dims, stack(panel.forecasts), {**attrs, "long_name": "as it was"}),
    }
    if "gbm_alert" in config.mos.methods:
        text = f"of more than {config.mos.event} {panel.units}"
        chance = stack(state.predictions["chance"])
        variables["alert_probability"] = (dims, chance, {"units": "1", "long_name": f"chance {text}"})
        alert = stack(state.predictions["gbm_alert"])
        variables["alert"] = (dims, alert, {"units": "1", "long_name": f"1 for an alert {text}"})
    coords: dict[str, tuple] = {
        "lead": (
            "lead",
            np.asarray(leads, np.int64),
            {"units": "days", "long_name": "days from the last observation"},
        ),
        "time": ("time", time),
        "station": ("station", np.asarray(panel.stations, str)),
    }
    for name in ("latitude", "longitude"):
        if name in panel.static:
            units = {"latitude": "degrees_north", "longitude": "degrees_east"}[name]
            coords[name] = ("station", panel.static[name].to_numpy(np.float64), {"units": units})
    made_ds = xr.Dataset(variables, coords)
    if not config.mos.interval:
        return made_ds
    return with_interval(
        made_ds,
        config.data.species,
        Interval(*(stack(state.predictions[side]) for side in ("lower", "upper"))),
        coverage=config.mos.interval,
        comment=f"as wide as would have held the observations of the last {config.mos.interval_days} days",
    )


def evaluate(config: MosConfig, run: RunFolder) -> None:
    """Score all methods on the common sample: writes ``metrics.json``."""
    with run.stage("evaluate"):
        state = load_state(run.find(STATE))
        delivered, choices = chosen_on_the_past(state, config)
        found = verify_run(state, config)
        days, spin_up = state.panel.days, config.mos.spin_up
        run.write_metrics(
            {
                "split": {
                    "test": [str(days[spin_up]), str(days[-1])],
                    "spin_up_days": spin_up,
                    "design": "growing window: each forecast is made of data known when it was issued",
                },
                "delivered": delivered,
                "units": state.panel.units,
                "event": config.mos.event,
                **found,
                **{f"by_{window}": table for window, table in _windows(state, config).items()},
                "skill": skill_intervals(state, config, delivered, seed=run.seed),
                "interval": score_bounds(state, config),
                "selection": choices,
                "selection_rmse": score_choices(state, config, choices),
                "blend_weights": _weights(state, config),
                "alert_rules": state.history,
                "dropped_stations": list(state.panel.dropped),
            }
        )
    with run.stage("explain"):
        _explain(state, config, delivered, run)


def _explain(state: State, config: MosConfig, delivered: str, run: RunFolder) -> None:
    """Tell what drives the delivered method, the trees, and the error of the raw forecast."""
    found = {"drivers": explain_delivered(state, config, delivered, seed=run.seed)}
    if delivered not in KINDS:
        found["drivers_trees"] = explain_trees(state, config, seed=run.seed)
    for name, told in found.items():
        if told is not None:
            told.save(run.path(f"model/{name}.json"))
    causes = find_causes(state.panel, config.mos.leads[0], seed=run.seed)
    if causes is not None:
        causes.save(run.path("model/causes.json"))


def _weights(state: State, config: MosConfig) -> dict[int, dict[str, float]]:
    members = value_methods(config.mos)
    return {lead: dict(zip(members, weights, strict=True)) for lead, weights in state.weights.items()}


def _windows(state: State, config: MosConfig) -> dict[str, dict]:
    tables = daily_scores(state, config)
    return {"window": tables} if tables else {}


def report(config: MosConfig, run: RunFolder) -> None:
    """Draw and tell: writes ``report.html``."""
    from esai_airquality.mos.reporting import write_report

    with run.stage("report"):
        write_report(config, run, load_state(run.find(STATE)))
