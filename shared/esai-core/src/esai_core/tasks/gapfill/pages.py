"""The report of gapfill."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr

from esai_core import io
from esai_core.explain import Drivers
from esai_core.report import Report, add_drivers, add_intervals, key_message, plots
from esai_core.runs import RunFolder, read_metrics
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.scratch import block_length, few_threads
from esai_core.verify import rmse

__all__ = ["open_result", "read_choice", "report"]


def open_result(run: RunFolder, name: str) -> xr.Dataset:
    """Open a product of the run, in blocks of times."""
    opened = io.open_dataset(run.find(name))
    return opened.chunk(time=block_length(opened.sizes["latitude"], opened.sizes["longitude"]))


def read_choice(run: RunFolder) -> dict[str, Any]:
    """Read what the training chose."""
    return json.loads(run.find("model/choice.json").read_text("utf-8"))


def report(config: GapfillConfig, run: RunFolder) -> None:
    """Draw and tell."""
    metrics, choice = read_metrics(run.partial), read_choice(run)
    tested, filled = (open_result(run, name) for name in ("verification.nc", "filled.nc"))
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
    told = Drivers.load(run.find("drivers.json"))
    add_drivers(page, told.attributions, check=told.check, text=told.text)
    if delivered != "network":
        page.note(
            f"What is delivered is {delivered}, not the network that is explained here.", kind="warning"
        )
    page.section("Maps")
    with few_threads():
        hidden = tested["truth"].notnull().sum(("latitude", "longitude")).values
        at = tested[["truth", delivered]].isel(time=int(hidden.argmax())).compute()
        error = xr.Dataset(
            {one: rmse(tested[one], tested["truth"], dim="time") for one in ("eof", delivered)}
        ).compute()
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
