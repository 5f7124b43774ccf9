"""The steps of nextframe. Each takes from earlier ones only files of the run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core import io, nn, training
from esai_core.errors import InputError
from esai_core.explain import Attribution
from esai_core.grid import area_weights
from esai_core.report import Report, add_drivers, add_intervals, key_message, plots
from esai_core.runs import RunFolder, read_history, read_metrics
from esai_core.tasks.fields import FieldCycle, need_networks, open_field, score_methods, write_history
from esai_core.tasks.nextframe.baselines import Damping
from esai_core.tasks.nextframe.config import NextframeConfig
from esai_core.tasks.nextframe.drivers import attribute, check
from esai_core.tasks.nextframe.network import examples, targets, train_network
from esai_core.uncertainty import SplitConformal, interval_scores

__all__ = ["BASELINES", "evaluate", "predict", "report", "train"]

BASELINES = ("climatology", "persistence", "damped")


@dataclass(frozen=True)
class Work:
    """The series as anomalies from the cycle of the training part, in standard deviations.

    Attributes
    ----------
    field, level : DataArray
        As read, and its climatology.
    anomalies : array (time, latitude, longitude)
        Standardised; 0 where left out.
    land : array (latitude, longitude) of bool
        Cells that are left out.
    scale : float
    phases : array (time, 2)
        Cosine and sine of the cycle.
    train, choose, test : array of int
        Starts whose window and truths lie within their part.
    fitted : array of int
        Steps of the training part.
    """

    field: xr.DataArray
    level: xr.DataArray
    anomalies: NDArray[np.float32]
    land: NDArray[np.bool_]
    scale: float
    phases: NDArray[np.float64]
    train: NDArray[np.int64]
    choose: NDArray[np.int64]
    test: NDArray[np.int64]
    fitted: NDArray[np.int64]


def prepare_work(config: NextframeConfig) -> Work:
    """Read the series, cut it in the order of time and take the cycle from the first part."""
    field = open_field(config.data.field, config.data.variable, least=20)
    steps, window, longest = field.sizes["time"], config.network.window, max(config.leads)
    first, second = (
        round(config.split.train * steps),
        round((config.split.train + config.split.choose) * steps),
    )
    train, choose, test = (
        np.arange(begin + window - 1, end - longest)
        for begin, end in ((0, first), (first, second), (second, steps))
    )
    if min(map(len, (train, choose, test))) < 5:
        raise InputError(
            f"{steps} times leave {len(train)}, {len(choose)} and {len(test)} starts to train, choose, test",
            where=config.data.field,
            remedy="give a longer series, shorter leads or a smaller window",
        )
    fitted = np.arange(first)
    level = FieldCycle.fit(field.isel(time=fitted), name=config.cycle).level(field)
    land = (field.isnull() | level.isnull()).any("time").values
    away = (field - level).values
    scale = float(away[fitted][:, ~land].std()) or 1.0
    anomalies = np.where(land, 0, away / scale).astype(np.float32)
    dates = field["time"].dt
    turn = {"hour": dates.hour / 24, "month": (dates.month - 1) / 12}.get(config.cycle)
    angle = 2 * np.pi * (np.zeros(steps) if turn is None else turn.values)
    phases = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Work(field, level, anomalies, land, scale, phases, train, choose, test, fitted)


def train(config: NextframeConfig, run: RunFolder) -> None:
    """Fit the damping and the networks, and choose the method on the part after the training."""
    need_networks()
    work = prepare_work(config)
    weights = area_weights(work.field["latitude"]).values[:, None, None]
    with run.stage("fit baselines"):
        damping = Damping.fit(work.anomalies, work.fitted, config.leads)
    for number, kind in enumerate(config.network.kinds):
        with run.stage(f"train {kind}"):
            history = train_network(
                kind,
                work.anomalies,
                work.land,
                work.phases,
                (work.train, work.choose),
                damping,
                weights=weights,
                config=config,
                folder=run.checkpoints / kind,
                resume=run.resume,
                workers=run.workers,
            )
        nn.save(history.model, run.path(f"model/{kind}.keras"))
        write_history(run, history.rows, network=number)
    np.savez(run.path("model/damping.npz"), factors=damping.factors)
    with run.stage("choose method"):
        made = forecast_all(work, work.choose, config, run)
        truth = truths(work, work.choose, config)
        chosen = score_methods(made, truth, climatology=climatology(work, work.choose, config))["scores"]
        best = min(chosen, key=lambda name: chosen[name]["rmse"])
        conformal = SplitConformal(coverage=config.coverage)
        conformal.fit(truth.values, made[best].values, blocks=blocks_of(work.choose, config))
    choice = {"delivered": best, "choice_rmse": {name: one["rmse"] for name, one in chosen.items()}}
    run.path("model/choice.json").write_text(json.dumps(choice | {"interval": conformal.to_dict()}), "utf-8")


def blocks_of(starts: NDArray[np.int64], config: NextframeConfig) -> NDArray[np.int64]:
    """Label starts by blocks of the longest lead, over which errors are alike."""
    return (starts - starts[0]) // max(2, max(config.leads))


def _on_leads(
    work: Work, starts: NDArray[np.int64], config: NextframeConfig, values: NDArray
) -> xr.DataArray:
    coords = {
        "start": work.field["time"].values[starts],
        "lead": np.asarray(config.leads, np.int64),
        "latitude": work.field["latitude"],
        "longitude": work.field["longitude"],
    }
    made = xr.DataArray(values, coords, tuple(coords), str(work.field.name), work.field.attrs).where(
        ~work.land
    )
    return made.astype("float32")


def _at(work: Work, source: NDArray, starts: NDArray[np.int64], config: NextframeConfig) -> xr.DataArray:
    return _on_leads(work, starts, config, np.stack([source[starts + lead] for lead in config.leads], axis=1))


def truths(work: Work, starts: NDArray[np.int64], config: NextframeConfig) -> xr.DataArray:
    """Give what was observed at each start and lead."""
    return _at(work, work.field.values, starts, config)


def climatology(work: Work, starts: NDArray[np.int64], config: NextframeConfig) -> xr.DataArray:
    """Give the climatology at each start and lead."""
    return _at(work, work.level.values, starts, config)


def forecast_all(
    work: Work, starts: NDArray[np.int64], config: NextframeConfig, run: RunFolder
) -> dict[str, xr.DataArray]:
    """Forecast by every method: ``(start, lead, latitude, longitude)``."""
    with np.load(run.find("model/damping.npz")) as stored:
        damping = Damping(stored["factors"], config.leads)
    shape = (len(starts), len(config.leads), *work.land.shape)
    made = {
        "climatology": np.zeros(shape, np.float32),
        "persistence": np.broadcast_to(work.anomalies[starts][:, None], shape),
        "damped": damping.forecast(work.anomalies, starts),
    }
    for kind in config.network.kinds:
        model = nn.load(run.find(f"model/{kind}.keras"))
        inputs = examples(
            work.anomalies, work.land, work.phases, starts, damping, kind=kind, window=config.network.window
        )
        made[kind] = np.moveaxis(training.predict(model, inputs, batch_size=config.train.batch_size), -1, 1)
    if len(config.network.kinds) > 1:
        made["mean"] = np.mean([made[kind] for kind in config.network.kinds], axis=0)
    level = climatology(work, starts, config)
    return {
        name: (level + _on_leads(work, starts, config, values * np.float32(work.scale))).assign_attrs(
            work.field.attrs
        )
        for name, values in made.items()
    }


def predict(config: NextframeConfig, run: RunFolder) -> None:
    """Forecast from every start of the test part, and from the last times of the file, by every method."""
    work, choice = prepare_work(config), json.loads(run.find("model/choice.json").read_text("utf-8"))
    with run.stage("predict"):
        made = forecast_all(work, work.test, config, run)
    ends = SplitConformal.from_dict(choice["interval"]).interval(made[choice["delivered"]])
    tested = xr.Dataset(made).assign(
        lower=ends.lower,
        upper=ends.upper,
        climatology_level=climatology(work, work.test, config),
        truth=truths(work, work.test, config),
    )
    for name in tested.data_vars:
        tested[name].attrs = dict(work.field.attrs)
    tested.attrs["comment"] = f"delivered: {choice['delivered']}; leads in steps of the input"
    io.write_netcdf(tested, run.path("forecast.nc"))


def evaluate(config: NextframeConfig, run: RunFolder) -> None:
    """Score every method on the test part."""
    choice = json.loads(run.find("model/choice.json").read_text("utf-8"))
    tested = io.load(xr.open_dataset(run.find("forecast.nc"), engine="netcdf4", decode_timedelta=False))
    names = methods(config)
    with run.stage("verify"):
        table = score_methods(
            {name: tested[name] for name in names},
            tested["truth"],
            climatology=tested["climatology_level"],
            by="lead",
        )
        held = {}
        blocks = blocks_of(np.arange(tested.sizes["start"]), config)
        for lead in tested["lead"].values:
            one = tested.sel(lead=lead)
            held[str(lead)] = interval_scores(
                one["truth"], one["lower"], one["upper"], coverage=config.coverage, blocks=blocks
            )
    asked = config.network.kinds if choice["delivered"] == "mean" else (choice["delivered"],)
    with run.stage("explain"):
        told = [explain(kind, config, run) for kind in asked if kind in config.network.kinds]
    run.path("drivers.json").write_text(json.dumps(told, indent=1), "utf-8")
    split = {"starts": {"test": tested.sizes["start"]}, "leads": list(config.leads)}
    run.write_metrics({"split": split, "delivered": choice["delivered"], "interval": held, **table})


def methods(config: NextframeConfig) -> list[str]:
    """Name the methods of a run: the baselines, the networks, and their mean where there are several."""
    several = ["mean"] if len(config.network.kinds) > 1 else []
    return [*BASELINES, *config.network.kinds, *several]


def explain(kind: str, config: NextframeConfig, run: RunFolder) -> dict[str, Any]:
    """Tell which inputs a network uses on the test part, and whether the check is passed."""
    work, window = prepare_work(config), config.network.window
    with np.load(run.find("model/damping.npz")) as stored:
        damping = Damping(stored["factors"], config.leads)
    model = nn.load(run.find(f"model/{kind}.keras"))
    options: dict[str, Any] = {
        "inputs": examples(
            work.anomalies, work.land, work.phases, work.test, damping, kind=kind, window=window
        ),
        "truth": targets(work.anomalies, work.land, work.test, config.leads),
        "kind": kind,
        "window": window,
        "leads": config.leads,
        "blocks": blocks_of(work.test, config),
    }
    found = attribute(model, **options)
    verdict = check(model, found, **options)
    return found.to_dict() | {"check": str(verdict), "passed": verdict.passed}


def report(config: NextframeConfig, run: RunFolder) -> None:
    """Draw and tell."""
    metrics = read_metrics(run.partial)
    tested = io.load(xr.open_dataset(run.find("forecast.nc"), engine="netcdf4", decode_timedelta=False))
    delivered, units = metrics["delivered"], str(tested["truth"].attrs.get("units", ""))
    page = Report(
        "Next fields", f"{tested.sizes['start']} starts, leads {', '.join(map(str, config.leads))}", run=run
    )
    rmse = {name: one["rmse"] for name, one in metrics["scores"].items()}
    beaten = rmse[delivered] < min(rmse[name] for name in BASELINES if name != delivered)
    page.headline(key_message(metrics, units=units), kind="good" if beaten else "warning")
    page.section("Scores", "Over all starts, leads and cells of the test part, by area.")
    page.table(
        metrics["scores"],
        highlight=delivered,
        best={"rmse": "min", "mae": "min", "acc": "max", "bias": "zero"},
    )
    by_lead: dict[str, Any] = metrics["by_lead"]
    curves = {name: [by_lead[str(lead)][name]["rmse"] for lead in config.leads] for name in metrics["scores"]}
    page.figure(
        plots.lines_by(
            list(config.leads), curves, xlabel="lead (steps)", ylabel=f"RMSE ({units})", highlight=delivered
        ),
        caption="Error by lead. The damped anomaly is the one to beat.",
    )
    behind = [lead for lead in config.leads if _best(by_lead[str(lead)]) in BASELINES]
    if behind:
        page.note(f"No network beats the baselines at lead {', '.join(map(str, behind))}.", kind="warning")
    add_intervals(
        page,
        {f"lead {lead}": one for lead, one in metrics["interval"].items()},
        coverage=config.coverage,
        units=units,
        text="Calibrated per cell and lead on the part that chose the method.",
    )
    told = json.loads(run.find("drivers.json").read_text("utf-8"))
    if told:
        add_drivers(
            page,
            [Attribution.from_dict(one) for one in told],
            text="One input at a time is exchanged between blocks of starts of the test part. The network "
            "adds to the damped anomaly, so that losing it costs most where the network adds little.",
        )
    for one in told:
        page.note(f"{one['method']}: {one['check']}", kind="info" if one["passed"] else "warning")
    page.section("Maps")
    error = np.sqrt(((tested[delivered] - tested["truth"]) ** 2).mean("start"))
    gain = np.sqrt(((tested["damped"] - tested["truth"]) ** 2).mean("start")) - error
    last = config.leads[-1]
    page.figure(
        plots.map_panel(
            [(f"lead {lead}", error.sel(lead=lead)) for lead in config.leads[:4]], label=f"RMSE ({units})"
        ),
        caption=f"Error of {delivered}.",
    )
    page.figure(
        plots.map_panel(
            [(f"lead {last}", gain.sel(lead=last))], label=f"RMSE saved ({units})", diverging=True
        ),
        caption="Error saved against the damped anomaly; negative where it is lost.",
    )
    page.section("Training")
    history = read_history(run.find("history.csv"))
    for number, kind in enumerate(config.network.kinds):
        rows = [row for row in history if row["network"] == number]
        page.figure(plots.loss_curve(rows), caption=f"Loss of {kind}, in squared standard deviations.")
    page.write(run.path("report.html"))


def _best(table: dict[str, dict[str, float]]) -> str:
    return min(table, key=lambda name: table[name]["rmse"])
