"""The steps of gapfill. Each takes from earlier ones only files of the run folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core import io, nn
from esai_core.grid import area_weights
from esai_core.report import Report, add_intervals, key_message, plots
from esai_core.runs import RunFolder, read_metrics
from esai_core.tasks.fields import FieldCycle, need_networks, open_field, score_methods, write_history
from esai_core.tasks.gapfill.blobs import CHOOSE, LEARN, TEST, part_cells, time_runs
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.gapfill.eof import choose_modes, interpolate_in_time
from esai_core.tasks.gapfill.network import refine, train_network
from esai_core.uncertainty import SplitConformal, interval_scores

__all__ = ["METHODS", "evaluate", "predict", "report", "train"]

METHODS = ("climatology", "interpolation", "eof", "network")


@dataclass(frozen=True)
class Work:
    """A field as anomalies from the cycle of what may be seen, in units of one standard deviation.

    Attributes
    ----------
    field : DataArray
        As read.
    parts : array (time, latitude, longitude)
        What each cell is for; see `part_cells`.
    seen : array of bool
        Cells that the cycle and the scale were taken from.
    level : DataArray
        The climatology at each time.
    scale : float
        Standard deviation of the anomalies seen.
    """

    field: xr.DataArray
    parts: NDArray[np.int8]
    seen: NDArray[np.bool_]
    level: xr.DataArray
    scale: float

    @property
    def anomalies(self) -> NDArray[np.float32]:
        """Standardised anomalies of everything observed."""
        return ((self.field - self.level).values / self.scale).astype(np.float32)

    @property
    def land(self) -> NDArray[np.bool_]:
        """Cells that are never seen."""
        return np.logical_not(self.seen.any(axis=0))

    def only(self, *kinds: int) -> NDArray[np.float32]:
        """Standardised anomalies of the parts named, NaN elsewhere."""
        return np.where(np.isin(self.parts, kinds), self.anomalies, np.nan).astype(np.float32)

    def whole(self, anomalies: NDArray) -> xr.DataArray:
        """Bring standardised anomalies back; NaN over land."""
        made = self.level + anomalies * np.float32(self.scale)
        return made.where(~self.land).astype("float32").assign_attrs(self.field.attrs).rename(self.field.name)


def prepare_work(config: GapfillConfig, *kinds: int) -> Work:
    """Read the field, part its cells and take the cycle from the parts named."""
    field = io.load(open_field(config.data.field, config.data.variable, least=12)).astype("float32")
    hide = config.hide
    parts = part_cells(field.notnull().values, **hide.model_dump())
    seen = np.isin(parts, kinds)
    visible = field.where(seen)
    level = FieldCycle.fit(visible, name=config.cycle).level(field)
    scale = float((visible - level).std())
    return Work(field, parts, seen, level, scale or 1.0)


def train(config: GapfillConfig, run: RunFolder) -> None:
    """Choose the number of modes, train the network, choose the method: all without the test's cells."""
    need_networks()
    work = prepare_work(config, LEARN)
    learn, held = work.only(LEARN), work.parts == CHOOSE
    sea = ~work.land
    with run.stage("choose modes"):
        errors = choose_modes(
            work.only(LEARN, CHOOSE)[:, sea],
            held[:, sea],
            config.eof.modes,
            tolerance=config.eof.tolerance,
            iterations=config.eof.iterations,
        )
    modes = min(errors, key=lambda number: errors[number])
    weights = area_weights(work.field["latitude"]).values[:, None, None]
    with run.stage("train network"):
        history = train_network(
            learn,
            held,
            work.anomalies,
            land=work.land,
            modes=modes,
            weights=weights,
            config=config,
            folder=run.checkpoints / "network",
            resume=run.resume,
            workers=run.workers,
        )
    nn.save(history.model, run.path("model/network.keras"))
    write_history(run, history.rows)
    with run.stage("choose method"):
        made = fill_all(work, learn, history.model, modes, config)
        truth = work.field.where(held)
        chosen = score_methods(made, truth, climatology=work.level)["scores"]
        best = min(chosen, key=lambda name: chosen[name]["rmse"])
        conformal = calibrate(work, made[best], held, config)
    choice = {"modes": modes, "modes_rmse": {str(k): v * work.scale for k, v in errors.items()}}
    choice |= {"delivered": best, "choice_rmse": {name: one["rmse"] for name, one in chosen.items()}}
    run.path("model/choice.json").write_text(
        json.dumps(choice | {"interval": conformal.to_dict()}, indent=1), "utf-8"
    )


def fill_all(
    work: Work, seen: NDArray, model: Any, modes: int, config: GapfillConfig
) -> dict[str, xr.DataArray]:
    """Fill by every method from the same cells."""
    eof, refined = refine(model, seen, land=work.land, modes=modes, config=config)
    line = np.zeros(seen.shape, np.float32)
    line[:, ~work.land] = interpolate_in_time(seen[:, ~work.land])
    made = {
        "climatology": np.zeros(seen.shape, np.float32),
        "interpolation": line,
        "eof": eof,
        "network": refined,
    }
    return {name: work.whole(made[name]) for name in METHODS}


def local_scale(work: Work) -> NDArray[np.float64]:
    """Give the standard deviation of the anomalies seen in each cell: intervals are wide where it varies."""
    counted = np.where(work.seen, work.anomalies.astype(np.float64), np.nan)
    sea = ~work.land
    spread = np.full(work.land.shape, 1.0)
    spread[sea] = np.nanstd(counted[:, sea], axis=0)
    return np.maximum(spread, 0.1) * work.scale


def calibrate(
    work: Work, made: xr.DataArray, held: NDArray[np.bool_], config: GapfillConfig
) -> SplitConformal:
    """Calibrate intervals on the cells kept back to choose by, in runs of times."""
    truth = np.where(held, work.field.values, np.nan)
    conformal = SplitConformal(coverage=config.coverage, pooled=True)
    runs = time_runs(len(truth), duration=config.hide.duration)
    return conformal.fit(truth, made.values, scale=local_scale(work), blocks=runs)


def _choice(run: RunFolder) -> dict[str, Any]:
    return json.loads(run.find("model/choice.json").read_text("utf-8"))


def predict(config: GapfillConfig, run: RunFolder) -> None:
    """Fill the test's cells by every method, and all real gaps by the delivered one."""
    choice, model = _choice(run), nn.load(run.find("model/network.keras"))
    conformal = SplitConformal.from_dict(choice["interval"])
    with run.stage("fill test"):
        work = prepare_work(config, LEARN, CHOOSE)
        made = fill_all(work, work.only(LEARN, CHOOSE), model, choice["modes"], config)
        ends = conformal.interval(made[choice["delivered"]], scale=local_scale(work))
        tested = xr.Dataset({f"{name}": values for name, values in made.items()})
        tested = tested.assign(lower=ends.lower, upper=ends.upper, climatology_level=work.level)
        tested = tested.where(work.parts == TEST).assign(truth=work.field.where(work.parts == TEST))
    for name in tested.data_vars:
        tested[name].attrs = dict(work.field.attrs)
    io.write_netcdf(tested, run.path("verification.nc"))
    with run.stage("fill gaps"):
        work = prepare_work(config, LEARN, CHOOSE, TEST)
        best = fill_all(work, work.only(LEARN, CHOOSE, TEST), model, choice["modes"], config)[
            choice["delivered"]
        ]
        ends = conformal.interval(best, scale=local_scale(work))
    observed = work.field.notnull()
    name = str(work.field.name)
    filled = xr.Dataset(
        {
            name: work.field.where(observed, best).assign_attrs(work.field.attrs),
            f"{name}_lower": ends.lower.where(~observed).assign_attrs(work.field.attrs),
            f"{name}_upper": ends.upper.where(~observed).assign_attrs(work.field.attrs),
        }
    )
    filled.attrs["comment"] = (
        f"gaps filled by {choice['delivered']}; bounds hold {config.coverage:.0%} of the truths"
    )
    io.write_netcdf(filled, run.path("filled.nc"))


def evaluate(config: GapfillConfig, run: RunFolder) -> None:
    """Score every method on the test's cells."""
    choice = _choice(run)
    tested = io.load(io.open_dataset(run.find("verification.nc")))
    truth = tested["truth"]
    with run.stage("verify"):
        table = score_methods(
            {name: tested[name] for name in METHODS}, truth, climatology=tested["climatology_level"]
        )
        held = interval_scores(
            truth,
            tested["lower"].where(truth.notnull()),
            tested["upper"].where(truth.notnull()),
            coverage=config.coverage,
            blocks=time_runs(truth.sizes["time"], duration=config.hide.duration),
        )
    hide = config.hide
    split = {"hidden": hide.share, "choose": hide.choose, "length": hide.length, "duration": hide.duration}
    metrics = {"split": split, "delivered": choice["delivered"], "interval": held, "modes": choice["modes"]}
    run.write_metrics(metrics | table)


def report(config: GapfillConfig, run: RunFolder) -> None:
    """Draw and tell."""
    metrics, choice = read_metrics(run.partial), _choice(run)
    tested, filled = (io.load(io.open_dataset(run.find(name))) for name in ("verification.nc", "filled.nc"))
    name, delivered = next(iter(filled.data_vars)), metrics["delivered"]
    units = str(tested["truth"].attrs.get("units", ""))
    page = Report("Gaps filled", f"{name}, {filled.sizes['time']} times", run=run)
    page.headline(key_message(metrics, units=units))
    page.section(
        "Scores", f"On the {100 * config.hide.share:.0f} % of the observed cells hidden in blobs, by area."
    )
    page.table(
        metrics["scores"],
        highlight=delivered,
        best={"rmse": "min", "mae": "min", "acc": "max", "bias": "zero"},
    )
    add_intervals(
        page,
        {"all hidden cells": metrics["interval"]},
        coverage=config.coverage,
        units=units,
        text="Calibrated on the blobs that chose the method.",
    )
    page.section("Maps")
    hidden = tested["truth"].notnull().sum(("latitude", "longitude"))
    at = tested.isel(time=int(hidden.values.argmax()))
    error = {one: np.sqrt(((tested[one] - tested["truth"]) ** 2).mean("time")) for one in ("eof", delivered)}
    page.figure(
        plots.map_panel([(f"RMSE of {one}", field) for one, field in error.items()], label=f"RMSE ({units})"),
        caption="Error of the hidden cells, over all times.",
    )
    page.figure(
        plots.map_panel([("hidden truth", at["truth"]), (delivered, at[delivered])], label=units),
        caption=f"One time, {str(at['time'].values)[:16]}: what was hidden, and how it was filled.",
    )
    page.section("Choices", "Made on the blobs of other times than those of the test.")
    modes = choice["modes_rmse"]
    page.figure(
        plots.lines_by(
            [int(k) for k in modes], {"eof": list(modes.values())}, xlabel="modes", ylabel=f"RMSE ({units})"
        ),
        caption=f"Error by the number of EOFs; {choice['modes']} were taken.",
    )
    page.figure(plots.loss_curve(run.find("history.csv")), caption="Training of the network.")
    page.write(run.path("report.html"))
