"""The steps of nextframe. Each takes from earlier ones only files of the run folder."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core import io, nn
from esai_core.grid import area_weights
from esai_core.runs import RunFolder
from esai_core.tasks.drivers import attribute, check
from esai_core.tasks.fields import need_networks, score_methods, write_history
from esai_core.tasks.nextframe.baselines import Damping
from esai_core.tasks.nextframe.config import NextframeConfig
from esai_core.tasks.nextframe.forecasts import (
    calibrate,
    load_damping,
    make_forecasts,
    methods,
    open_forecasts,
)
from esai_core.tasks.nextframe.network import DAMPED, examples, places, targets, train_network
from esai_core.tasks.nextframe.pages import report
from esai_core.tasks.nextframe.work import Work, blocks_of, prepare_work
from esai_core.tasks.scratch import block_length, evenly, room, slices
from esai_core.uncertainty import SplitConformal, interval_sums, scores_of_sums

__all__ = ["evaluate", "predict", "report", "train"]

EXPLAINED = 256
"""Most starts that explanations are made on, evenly spread over the test part."""


def series(config: NextframeConfig, run: RunFolder) -> Work:
    """Open the series and its anomalies, which the first step that needs them writes."""
    with run.stage("anomalies"):
        return prepare_work(config, run.checkpoints / "series")


def train(config: NextframeConfig, run: RunFolder) -> None:
    """Fit the damping and the networks, and choose the method on the part after the training."""
    need_networks()
    work = series(config, run)
    weights = area_weights(work.field["latitude"]).values[:, None, None]
    with run.stage("fit baselines"):
        damping = Damping.fit(work.anomalies, work.fitted, config.leads)
    np.savez(run.path("model/damping.npz"), factors=damping.factors)
    for number, kind in enumerate(config.network.kinds):
        with run.stage(f"train {kind}"):
            history = train_network(
                kind,
                work,
                damping,
                weights=weights,
                config=config,
                folder=run.checkpoints / kind,
                resume=run.resume,
                workers=run.workers,
            )
        nn.save(history.model, run.path(f"model/{kind}.keras"))
        write_history(run, history.rows, network=number)
    with run.stage("choose method"), room(run.checkpoints / "choosing") as folder:
        made = make_forecasts(work, work.choose, config, run, folder)
        chosen = score(made.dataset(), made.names)["scores"]
        best = min(chosen, key=lambda name: chosen[name]["rmse"])
        conformal = calibrate(made, best, config, folder)
    choice = {"delivered": best, "choice_rmse": {name: one["rmse"] for name, one in chosen.items()}}
    run.path("model/choice.json").write_text(json.dumps(choice | {"interval": conformal.to_dict()}), "utf-8")


def score(made: xr.Dataset, names: list[str], *, by: str | None = None) -> dict[str, Any]:
    """Score the methods against the truth, in blocks of starts."""
    return score_methods(
        {name: made[name] for name in names}, made["truth"], climatology=made["climatology_level"], by=by
    )


def predict(config: NextframeConfig, run: RunFolder) -> None:
    """Forecast from every start of the test part by every method."""
    work, choice = series(config, run), json.loads(run.find("model/choice.json").read_text("utf-8"))
    with run.stage("predict"), room(run.checkpoints / "testing") as folder:
        tested = make_forecasts(work, work.test, config, run, folder).dataset()
        ends = SplitConformal.from_dict(choice["interval"]).interval(tested[choice["delivered"]])
        tested = tested.assign(lower=ends.lower, upper=ends.upper)
        for name in tested.data_vars:
            tested[name].attrs = dict(work.field.attrs)
        tested.attrs["comment"] = f"delivered: {choice['delivered']}; leads in steps of the input"
        io.write_netcdf(tested, run.path("forecast.nc"))


def evaluate(config: NextframeConfig, run: RunFolder) -> None:
    """Score every method on the test part."""
    choice = json.loads(run.find("model/choice.json").read_text("utf-8"))
    tested = open_forecasts(run)
    with run.stage("verify"):
        table = score(tested, methods(config), by="lead")
        held = score_intervals(tested, config)
    asked = config.network.kinds if choice["delivered"] == "mean" else (choice["delivered"],)
    with run.stage("explain"):
        told = [explain(kind, config, run) for kind in asked if kind in config.network.kinds]
    run.path("drivers.json").write_text(json.dumps(told, indent=1), "utf-8")
    split = {"starts": {"test": tested.sizes["start"]}, "leads": list(config.leads)}
    run.write_metrics({"split": split, "delivered": choice["delivered"], "interval": held, **table})


def score_intervals(tested: xr.Dataset, config: NextframeConfig) -> dict[str, dict[str, float]]:
    """Score the intervals of each lead: sums of each start, then of all."""
    blocks = blocks_of(np.arange(tested.sizes["start"]), config)
    sums: dict[str, list[NDArray[np.float64]]] = {str(lead): [] for lead in tested["lead"].values}
    for at in slices(tested.sizes["start"], tested.chunksizes["start"][0]):
        block = tested[["truth", "lower", "upper"]].isel(start=at).compute()
        for lead, found in sums.items():
            one = block.sel(lead=int(lead))
            found.append(interval_sums(one["truth"], one["lower"], one["upper"], coverage=config.coverage))
    return {lead: scores_of_sums(np.concatenate(found), blocks=blocks) for lead, found in sums.items()}


def explain(kind: str, config: NextframeConfig, run: RunFolder) -> dict[str, Any]:
    """Tell which inputs a network uses on the test part, and whether the check is passed.

    At most `EXPLAINED` starts are taken, evenly spread over the part; fewer where the grid is large.
    """
    work, window, damping = series(config, run), config.network.window, load_damping(config, run)
    fitting = 16 * block_length(window + len(config.leads), *work.land.shape)
    starts = work.test[evenly(len(work.test), min(EXPLAINED, max(32, fitting)))]
    model = nn.load(run.find(f"model/{kind}.keras"))
    options: dict[str, Any] = {
        "inputs": examples(work.anomalies, work.land, work.phases, starts, damping, kind=kind, window=window),
        "truth": targets(work.anomalies, work.land, starts, config.leads),
        "places": places(kind, window),
        "method": f"permutation of blocks ({kind})",
        "outputs": [f"lead {lead}" for lead in config.leads],
        "blocks": blocks_of(starts, config),
    }
    found = attribute(model, **options)
    verdict = check(model, found, guess=DAMPED, **options)
    return found.to_dict() | {"starts": len(starts), "check": str(verdict), "passed": verdict.passed}
