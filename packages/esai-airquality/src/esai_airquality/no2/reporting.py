"""report.html of the job no2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from esai_airquality.diagrams import station_map
from esai_airquality.no2.config import No2Config
from esai_airquality.no2.store import Learnt
from esai_core.explain import Drivers
from esai_core.report import Report, add_drivers, add_intervals, key_message, plots
from esai_core.runs import RunFolder
from esai_core.runs.metrics import read_metrics

__all__ = ["comparison", "write_report"]

COLUMNS = ("r2", "rmse", "mae", "bias", "nmb", "nrmse", "pcc", "nmsdb")
BEST: dict[str, Any] = {
    "r2": "max",
    "pcc": "max",
    "rmse": "min",
    "mae": "min",
    "nrmse": "min",
} | dict.fromkeys(("bias", "nmb", "nmsdb"), "zero")
MEANINGS = {
    "random": "rows drawn at random: gaps at stations that were seen, on days that were seen",
    "station": "whole stations held out: new places, often near others",
    "block": "whole blocks of {0} degrees held out: new places, away from others",
    "month": "whole months held out: new times at known places",
    "year": "all of {0} held out: a new year at known places",
}


def write_report(
    config: No2Config, run: RunFolder, learnt: Learnt, table: pd.DataFrame, mapped: xr.Dataset | None
) -> None:
    """Write the report of a run.

    Parameters
    ----------
    config : No2Config
        Of the run.
    run : RunFolder
        With metrics.json; report.html is written to it.
    learnt : Learnt
        The delivered model.
    table : DataFrame
        Out-of-fold predictions of stations.
    mapped : Dataset, optional
        The map.
    """
    metrics = read_metrics(run.partial)
    days = f", {metrics['days'][0]} to {metrics['days'][1]}" if metrics["days"] else ""
    report = Report(
        "Surface NO2 from satellite columns",
        f"{config.data.observations.name}, {metrics['cases']['stations']:,} stations{days}",
        run=run,
    )
    report.headline(key_message(metrics, units=metrics["units"]))
    for text, kind in _verdicts(metrics):
        report.headline(text, kind="warning" if kind else "plain")
    _leaks(report, metrics)
    _validation(report, metrics)
    if mapped is not None:
        _maps(report, mapped, learnt, metrics)
    _uncertainty(report, metrics, table)
    _stations(report, metrics, table)
    _predictors(report, run, metrics)
    report.section("Settings")
    report.keyvalues({**config.no2.model_dump(), **config.validation.model_dump()}.items())
    report.write(run.path("report.html"))


def _verdicts(metrics: dict[str, Any]) -> list[tuple[str, bool]]:
    """Say what a reader should know first, and whether it is a warning."""
    judge, delivered, by_cv = metrics["split"]["judge"], metrics["delivered"], metrics["by_cv"]
    r2 = {name: table[delivered]["r2"] for name, table in by_cv.items()}
    found = []
    if r2["random"] is not None and r2[judge] is not None:
        told = (
            f"R² of {delivered} is {r2['random']:.2f} in random cross-validation and {r2[judge]:.2f} "
            f"in {judge}"
        )
        memory = r2["random"] - r2[judge] > 0.05
        found.append((told + (": the first mostly remembers the stations." if memory else "."), False))
    gain = metrics["satellite_gain"].get(judge, {}).get(delivered)
    if gain:
        size, low, high = (100 * gain[key] for key in ("estimate", "lower", "upper"))
        sure = "" if low > 0 or high < 0 else ", which may be chance"
        found.append(
            (
                f"The satellite changes its RMSE by {-size:.1f} % ({-high:.1f} to {-low:.1f} %){sure}.",
                low <= 0,
            )
        )
    scored = {name: row["rmse"] for name, row in metrics["scores"].items() if row["rmse"] is not None}
    best = min(scored, key=lambda name: scored[name])
    if best != delivered:
        found.append((f"**{best}** has a lower RMSE than the delivered {delivered} in {judge}.", True))
    return found


def _leaks(report: Report, metrics: dict[str, Any]) -> None:
    for key, text in (
        ("leaks", "Left out, as they give the target away"),
        ("trusted", "Kept on the user's word, though they look like the target"),
    ):
        if metrics[key]:
            listed = "\n".join(f"- `{column}`: {reason}" for column, reason in metrics[key].items())
            report.note(f"{text}:\n\n{listed}", kind="warning")


@plots.styled
def comparison(by_cv: dict[str, dict[str, dict[str, Any]]], methods: list[str]) -> Figure:
    """Draw R² by cross-validation and method; open marks are without the satellite.

    Parameters
    ----------
    by_cv : dict
        ``{CV: {METHOD: {SCORE: value}}}``.
    methods : list of str
        With the satellite.
    """
    figure, (axis,) = plots.new_figure(width=7.6, height=3.9)
    styles = plots.colours(methods)
    names = list(by_cv)
    for number, method in enumerate(methods):
        x = np.arange(len(names)) + (number - (len(methods) - 1) / 2) * 0.18
        for suffix, fill in (("", styles[method]["color"]), ("_nosat", "none")):
            values = [by_cv[name].get(method + suffix, {}).get("r2") for name in names]
            if all(value is None for value in values):
                continue
            axis.plot(
                x, [np.nan if value is None else value for value in values], linestyle="none", marker="o",
                markersize=8, markerfacecolor=fill, markeredgecolor=styles[method]["color"],
                label=method + (" without satellite" if suffix else ""),
            )  # fmt: skip
    axis.set_xticks(np.arange(len(names)), names)
    axis.set(ylabel="R²")
    axis.axhline(0, color="0.5", linewidth=0.8)
    axis.grid(visible=False, axis="x")
    axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _validation(report: Report, metrics: dict[str, Any]) -> None:
    by_cv, delivered = metrics["by_cv"], metrics["delivered"]
    methods = [name for name in metrics["scores"] if not name.endswith("_nosat")]
    report.section("Cross-validations side by side")
    report.figure(
        comparison(by_cv, methods),
        caption="R² of predictions out of fold. What is held out decides the score: filled with the "
        "satellite, open "
        "without it.",
    )
    report.text("\n".join(f"- `{name}`: {_meaning(name)}" for name in by_cv))
    for name, table in by_cv.items():
        rows = [{"method": method, **{key: row.get(key) for key in COLUMNS}} for method, row in table.items()]
        report.table(
            rows, highlight=delivered, best=BEST,
            caption=f"`{name}`; rmse, mae, bias in {metrics['units']}, nmb, nrmse, nmsdb in %.",
        )  # fmt: skip
    gain = {name: table[delivered] for name, table in metrics["satellite_gain"].items() if delivered in table}
    if gain:
        report.figure(
            plots.skill_bars(
                {name: row["estimate"] for name, row in gain.items()},
                intervals={name: (row["lower"], row["upper"]) for name, row in gain.items()},
                label=f"RMSE skill of {delivered} over itself without the satellite",
            ),
            caption="1 - RMSE(with) / RMSE(without) the satellite, with 90 % intervals from stations "
            "drawn with "
            "replacement.",
        )


def _meaning(name: str) -> str:
    kind, _, size = name.partition("_")
    return MEANINGS[kind].format(size)


def _maps(report: Report, mapped: xr.Dataset, learnt: Learnt, metrics: dict[str, Any]) -> None:
    units = metrics["units"]
    report.section("Maps")
    inside = mapped["inside"] == 1
    period = mapped.mean("time") if "time" in mapped.dims else mapped
    shown = mapped["no2"].where(inside)
    mean = shown.mean("time") if "time" in mapped.dims else shown
    report.figure(
        plots.map_panel(
            [("all cells", period["no2"]), ("area of applicability", mean)], label=f"NO2 ({units})"
        ),
        caption="Mean surface NO2; right, of the days on which a cell is within the area of applicability "
        "(grey: "
        "never).",
    )
    width = period["no2_upper"] - period["no2_lower"]
    report.figure(
        plots.map_panel(
            [(f"{100 * metrics['coverage_asked']:.0f} % interval", width)], label=units, width=5.2
        ),
        caption="Mean width of the intervals of single days.",
    )
    share = inside.mean("time") if "time" in mapped.dims else inside.astype(float)
    report.figure(
        plots.map_panel([("days inside", share.astype(float))], limits=(0, 1), label="share", width=5.2),
        caption=f"How often a cell is within the area of applicability (index up to "
        f"{learnt.applicability.threshold:.3f}): {100 * float(inside.mean()):.1f} % of all cells and "
        f"days. Outside it "
        f"no score and no interval holds.",
    )


def _uncertainty(report: Report, metrics: dict[str, Any], table: pd.DataFrame) -> None:
    if not metrics["interval"]:
        report.section("How sure is it", "Too few folds to measure how often the intervals hold.")
    else:
        add_intervals(
            report,
            metrics["interval"],
            coverage=metrics["coverage_asked"],
            units=metrics["units"],
            text="Each part of the blocks was left out by the model and by the calibration.",
        )
    column = f"{metrics['split']['judge']}/{metrics['delivered']}"
    report.figure(
        plots.scatter(
            table["observed"], table[column], xlabel=f"observed ({metrics['units']})",
            ylabel=f"predicted ({metrics['units']})",
        ),
        caption=f"Out of fold in {metrics['split']['judge']}.",
    )  # fmt: skip


def _stations(report: Report, metrics: dict[str, Any], table: pd.DataFrame) -> None:
    judge, delivered = metrics["split"]["judge"], metrics["delivered"]
    error = table[f"{judge}/{delivered}"] - table["observed"]
    by = table.assign(error=error, square=error**2).groupby("station", sort=True)
    place = by[["longitude", "latitude"]].first()
    report.section("Stations")
    report.figure(
        station_map(
            place["longitude"].to_numpy(), place["latitude"].to_numpy(), by["error"].mean().to_numpy(),
            label=f"mean error ({metrics['units']})", diverging=True,
        ),
        caption=f"Mean error of {delivered} at stations held out in {judge}.",
    )  # fmt: skip
    bare = f"{judge}/{delivered}_nosat"
    if bare in table.columns:
        without = ((table[bare] - table["observed"]) ** 2).groupby(table["station"], sort=True).mean()
        change = np.sqrt(by["square"].mean().to_numpy()) - np.sqrt(without.to_numpy())
        report.figure(
            station_map(
                place["longitude"].to_numpy(), place["latitude"].to_numpy(), change,
                label=f"change of RMSE ({metrics['units']})", diverging=True,
            ),
            caption="RMSE with less RMSE without the satellite: blue is where it helps.",
        )  # fmt: skip


def _predictors(report: Report, run: RunFolder, metrics: dict[str, Any]) -> None:
    if run.has("model/drivers.json"):
        told = Drivers.load(run.find("model/drivers.json"))
        add_drivers(report, told.attributions, check=told.check, text=told.text)
    else:
        report.section("What drives this", "A climatology has no predictors.")
    ranked = sorted(metrics["importance"].items(), key=lambda one: -one[1])[:15]
    report.table(
        [{"predictor": name, "importance": value} for name, value in ranked],
        caption="Importance in the delivered model (share of gain); it weights the distance to the "
        "training data.",
    )
