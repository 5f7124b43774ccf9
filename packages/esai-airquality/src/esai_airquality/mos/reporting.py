"""report.html of the job mos."""

from __future__ import annotations

from typing import Any

import numpy as np

from esai_airquality.diagrams import performance_diagram, station_map, taylor_diagram, time_series
from esai_airquality.mos.config import MosConfig
from esai_airquality.mos.scoring import common_sample
from esai_airquality.mos.state import State
from esai_core.causality import Causes
from esai_core.explain import Drivers
from esai_core.report import Report, add_causes, add_drivers, add_intervals, key_message, plots
from esai_core.runs import RunFolder
from esai_core.runs.metrics import read_metrics

__all__ = ["write_report"]

BEST = {
    "rmse": "min",
    "nrmse": "min",
    "mae": "min",
    "nmb": "zero",
    "nmsdb": "zero",
    "bias": "zero",
} | dict.fromkeys(("pcc", "h", "sr", "csi", "pss", "auc"), "max")
SUMMARIES = {
    "raw": "the forecast as it is",
    "pers": "persistence: the last observation at the same hour",
    "ma": "forecast less its mean error of the last days",
    "kf": "forecast less its error as a Kalman filter follows it, per hour and station",
    "qm": "quantile mapping on all past days",
    "an": "mean observation of the nearest past forecasts (analogs)",
    "gbm": "boosted trees on forecast, past observations, the methods above, calendar and station",
    "gbm_weighted": "the same, weighted towards observations far from the mean",
    "blend": "convex combination of the others, with the weights that would have been best on the past",
    "gbm_alert": "boosted chance of an event, calibrated, with a cut-off of highest CSI on past predictions",
}
COLUMNS = ("rmse", "nrmse", "nmb", "pcc", "nmsdb", "h", "f", "fb", "sr", "csi", "pss", "auc")


def write_report(config: MosConfig, run: RunFolder, state: State) -> None:
    """Write the report of a run.

    Parameters
    ----------
    config : MosConfig
        Of the run.
    run : RunFolder
        With metrics.json; report.html is written to it.
    state : State
        Of the end of the run.
    """
    metrics = read_metrics(run.partial)
    units, delivered = metrics["units"], metrics["delivered"]
    first, last = metrics["split"]["test"]
    report = Report(
        f"{config.data.species.upper()} forecasts at stations, corrected",
        f"{config.data.forecast.name}, {metrics['stations']} stations, {first} to {last}",
        run=run,
    )
    report.headline(key_message(metrics, units=units))
    report.headline(_verdict(metrics), kind="plain")
    _scores(report, metrics, units, config)
    _diagrams(report, metrics)
    _leads(report, metrics, units)
    _skill(report, metrics)
    if "gbm_alert" in config.mos.methods:
        _alerts(report, state, config, metrics)
    _bounds(report, metrics, units)
    _reasons(report, run, delivered)
    _stations(report, state, config, delivered, units)
    report.section(
        "How it was made",
        "Every forecast takes observations through the day it is issued on and no later one. Maps and "
        "trees are fitted "
        f"again every {config.mos.refresh} days on all the past. The method to deliver is the one with "
        f"the lowest RMSE "
        "on everything issued and observed before.",
    )
    made = ", ".join(f"{value:.3f}" for value in metrics["selection_rmse"].values())
    report.table(
        metrics["selection"],
        caption="The choice at each refresh, and its RMSE until then. Issuing at each time what was chosen "
        f"at that time has an RMSE of {made} {units} (by lead).",
    )
    if metrics["blend_weights"]:
        report.table(
            [{"lead": lead, **row} for lead, row in metrics["blend_weights"].items()],
            caption="Weights of the blend after the last refresh.",
        )
    report.keyvalues(config.mos.model_dump().items())
    report.write(run.path("report.html"))


def _verdict(metrics: dict[str, Any]) -> str:
    table, delivered = metrics["scores"], metrics["delivered"]
    text = f"Chosen on the past alone: **{delivered}**."
    trees = [name for name in ("gbm", "gbm_weighted") if name in table]
    if trees and delivered not in trees:
        text += f" **Boosted trees did not win** here ({trees[0]}: rmse {table[trees[0]]['rmse']:.3f})."
    if "gbm_alert" in table and table["gbm_alert"]["csi"] is not None:
        others = {n: row["csi"] for n, row in table.items() if n != "gbm_alert" and row["csi"] is not None}
        best = max(others, key=lambda name: others[name])
        text += (
            f" Alerts by a cut-off learnt on the past reach CSI {table['gbm_alert']['csi']:.3f}; the best "
            f"of the "
            f"others at the threshold itself, {best}, {others[best]:.3f}."
        )
    return text


def _scores(report: Report, metrics: dict[str, Any], units: str, config: MosConfig) -> None:
    report.section("Scores")
    lead = next(iter(metrics["by_lead"]))
    for name, table in metrics["by_lead"].items():
        rows = [{"method": method, **{key: row.get(key) for key in COLUMNS}} for method, row in table.items()]
        report.table(
            rows,
            highlight=metrics["delivered"],
            best=BEST,
            caption=f"Lead {name}: {metrics['cases'][name]:,} shared hours. rmse in {units}; nrmse, nmb "
            f"and nmsdb in %; an event is more than {config.mos.event:g} {units}.",
        )
    report.text("\n".join(f"- `{name}`: {SUMMARIES[name]}" for name in metrics["by_lead"][lead]))
    for window, table in metrics.get("by_window", {}).items():
        limit = {
            "d1max": "largest hour, event above 180 µg/m3",
            "d8max": "largest 8-hour mean, above 120 µg/m3",
        }[window]
        report.table(
            [{"method": m, **{key: row.get(key) for key in COLUMNS}} for m, row in table.items()],
            best=BEST,
            caption=f"{window}: {limit}.",
        )


def _diagrams(report: Report, metrics: dict[str, Any]) -> None:
    table, delivered = metrics["scores"], metrics["delivered"]
    report.section("Taylor and performance diagrams")
    taylor = {
        name: (1 + row["nmsdb"] / 100, row["pcc"])
        for name, row in table.items()
        if row["pcc"] is not None and row["nmsdb"] is not None
    }
    if taylor:
        report.figure(
            taylor_diagram(taylor, highlight=delivered),
            caption="Spread and correlation: the nearer the star the better; dashed the observed one, rays "
            "the correlation.",
        )
    points = {
        name: (row["sr"], row["h"])
        for name, row in table.items()
        if row["sr"] is not None and row["h"] is not None
    }
    if points:
        report.figure(
            performance_diagram(points, highlight=delivered),
            caption="Events: hit rate against success ratio, lines of equal CSI, dashed the bias 0.5, 1, 2. "
            "The upper right is perfect.",
        )


def _leads(report: Report, metrics: dict[str, Any], units: str) -> None:
    leads = list(metrics["by_lead"])
    if len(leads) < 2:
        return
    names = [name for name, row in metrics["scores"].items() if row["rmse"] is not None]
    series = {name: [metrics["by_lead"][lead][name]["rmse"] for lead in leads] for name in names}
    report.section("By lead")
    report.figure(
        plots.lines_by(
            [int(lead) for lead in leads],
            series,
            xlabel="lead (days)",
            ylabel=f"RMSE ({units})",
            highlight=metrics["delivered"],
        ),
        caption="RMSE by lead, each on the sample of its lead.",
    )


def _skill(report: Report, metrics: dict[str, Any]) -> None:
    rows = metrics["skill"]
    if not rows:
        return
    report.section("Skill of the delivered method")
    report.figure(
        plots.skill_bars(
            {name: row["estimate"] for name, row in rows.items()},
            intervals={name: (row["lower"], row["upper"]) for name, row in rows.items()},
            label=f"RMSE skill of {metrics['delivered']} against each method",
        ),
        caption="1 - RMSE(delivered) / RMSE(method), with 90 % intervals from weeks drawn with replacement.",
    )


def _alerts(report: Report, state: State, config: MosConfig, metrics: dict[str, Any]) -> None:
    lead = config.mos.leads[0]
    common = common_sample(state, config, lead)
    if not common.any():
        return
    came = state.panel.observed[common] > config.mos.event
    curves = {}
    for name, title in (("raw_chance", "as the trees give it"), ("chance", "calibrated")):
        chance = state.predictions[name][lead][common].astype(np.float64)
        place = np.minimum((chance * 10).astype(int), 9)
        count = np.bincount(place, minlength=10)
        some = np.maximum(count, 1)
        curves[title] = (
            np.bincount(place, chance, 10) / some,
            np.bincount(place, came, 10) / some,
            count,
        )
    report.section("Alerts")
    report.figure(
        plots.reliability_diagram(curves, base_rate=float(came.mean()), highlight="calibrated"),
        caption="How often an event came where a chance was given; calibrated on past predictions only.",
    )
    report.table(
        metrics["alert_rules"], caption="Calibration and cut-off at each refresh, from past predictions."
    )


def _bounds(report: Report, metrics: dict[str, Any], units: str) -> None:
    rows = metrics["interval"]
    if not rows:
        return
    add_intervals(
        report,
        {f"lead {lead}": row for lead, row in rows.items()},
        coverage=next(iter(rows.values()))["level"],
        units=units,
        text="Each was issued with a width from what was missed until then (conformal, on a moving window): "
        "every day is judged by what was known before it. Blocks are weeks.",
    )
    few = ("raw_coverage", "least_coverage_of_a_station")
    report.table(
        [{"lead": lead, **{name: row[name] for name in few}} for lead, row in rows.items()],
        caption="raw_coverage: before the widening by what was missed lately.",
    )


def _reasons(report: Report, run: RunFolder, delivered: str) -> None:
    for name, title in (
        ("drivers", "What drives this"),
        ("drivers_trees", "What drives the boosted trees"),
    ):
        if run.has(f"model/{name}.json"):
            told = Drivers.load(run.find(f"model/{name}.json"))
            add_drivers(report, told.attributions, check=told.check, text=told.text, title=title)
        elif name == "drivers":
            report.section(title, f"Too little was observed since the last refresh to explain {delivered}.")
    if run.has("model/causes.json"):
        add_causes(
            report,
            Causes.load(run.find("model/causes.json")),
            text="Steps are days, means of all stations without trend and annual cycle. An error that its "
            "own past causes is what the corrections live on.",
        )
    else:
        report.section("Lagged causes", "Not looked for: that needs 60 days without many gaps.")


def _stations(report: Report, state: State, config: MosConfig, delivered: str, units: str) -> None:
    lead, panel = config.mos.leads[0], state.panel
    common = common_sample(state, config, lead)
    made = (
        panel.forecasts[lead] if delivered == "raw" else state.predictions[delivered][lead].astype(np.float64)
    )
    there = common.sum(axis=(0, 1))

    def rmse(values: np.ndarray) -> np.ndarray:
        total = np.where(common, (values - panel.observed) ** 2, 0.0).sum(axis=(0, 1))
        return np.where(there > 0, np.sqrt(total / np.maximum(there, 1)), np.nan)

    ours, raw = rmse(made), rmse(panel.forecasts[lead])
    report.section("Stations")
    if "latitude" in panel.static and len(panel.stations) > 1:
        lat, lon = panel.static["latitude"].to_numpy(), panel.static["longitude"].to_numpy()
        report.figure(
            station_map(lon, lat, ours, label=f"RMSE of {delivered} ({units})"),
            caption=f"RMSE of {delivered}.",
        )
        if delivered != "raw":
            report.figure(
                station_map(lon, lat, ours - raw, label=f"RMSE less that of raw ({units})", diverging=True),
                caption="Change of the RMSE by the correction: blue is better.",
            )
    if not np.isfinite(ours).any():
        return
    ratio = ours / np.where(raw > 0, raw, np.nan)
    days = np.flatnonzero(common.any(axis=(1, 2)))
    span = slice(days[len(days) // 2], min(days[len(days) // 2] + 21, len(panel.days)))
    first = panel.days[span][0].astype("datetime64[h]")
    panels = {}
    for title, place in (("best", int(np.nanargmin(ratio))), ("worst", int(np.nanargmax(ratio)))):
        series = {
            "observed": panel.observed[span, :, place].ravel(),
            "raw": panel.forecasts[lead][span, :, place].ravel(),
            delivered: made[span, :, place].ravel(),
        }
        hours = first + np.arange(series["raw"].size).astype("timedelta64[h]")
        panels[f"{title} station: {panel.stations[place]} ({ratio[place]:.2f} of the raw RMSE)"] = (
            hours,
            series,
        )
    report.figure(
        time_series(panels, label=units),
        caption=f"Three weeks in the middle, lead {lead}, where the correction gains most and least.",
    )
