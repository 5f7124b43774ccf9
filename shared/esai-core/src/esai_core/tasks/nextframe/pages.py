"""The report of nextframe."""

from __future__ import annotations

import json
from typing import Any

from esai_core.explain import Attribution
from esai_core.report import Report, add_drivers, add_intervals, key_message, plots
from esai_core.runs import RunFolder, read_history, read_metrics
from esai_core.tasks.nextframe.config import NextframeConfig
from esai_core.tasks.nextframe.forecasts import BASELINES, mean_errors, open_forecasts

__all__ = ["report"]

BY_DESIGN = {
    "climatology": "the time of the cycle alone",
    "persistence": "the last field alone, as it is",
    "damped": "the last field alone, each cell drawn to the climatology as fast as it forgets",
}
"""What the baselines use, which needs no measurement."""


def report(config: NextframeConfig, run: RunFolder) -> None:
    """Draw and tell."""
    metrics = read_metrics(run.partial)
    tested = open_forecasts(run)
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
            text="One input at a time is exchanged between blocks of starts, on "
            f"{told[0]['starts']} starts spread over the test part. The network adds to the damped anomaly, "
            "so that losing it costs most where the network adds little.",
        )
    else:
        page.section("What drives this", f"What is delivered ({delivered}) uses {BY_DESIGN[delivered]}.")
    for one in told:
        page.note(f"{one['method']}: {one['check']}", kind="info" if one["passed"] else "warning")
    page.section("Maps")
    error, damped = mean_errors(tested, (delivered, "damped"))
    gain = damped - error
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
