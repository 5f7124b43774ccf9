"""report.html of the job reanalysis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from esai_airquality.diagrams import station_map
from esai_airquality.reanalysis.config import NetworkSection, ReanalysisConfig
from esai_core.explain import Drivers
from esai_core.io import open_dataset
from esai_core.report import Report, add_drivers, add_intervals, plots
from esai_core.runs import RunFolder
from esai_core.runs.metrics import read_metrics

__all__ = ["write_report"]

SUMMARIES = {
    "raw": "the model as it is",
    "mean": "plus the mean residual of all other stations in the period",
    "idw": "plus the residuals of the other stations, weighted by the inverse squared distance",
    "kriging": "plus the residuals of the other stations by ordinary kriging",
    "ridge": "plus a ridge regression of the residual on predictors",
    "ridge_idw": "the same, and what it leaves by inverse distance",
    "ridge_kriging": "the same, and what it leaves by kriging",
    "forest": "plus a random forest of the residual on predictors",
    "forest_kriging": "the same, and what it leaves by kriging",
    "chosen": "at each station the method that is best at all others: what choosing is worth",
}
COLUMNS = ("rmse", "mae", "bias", "nrmse", "pcc", "nmsdb")
BEST = {"rmse": "min", "mae": "min", "bias": "zero", "nrmse": "min", "pcc": "max", "nmsdb": "zero"}


def write_report(config: ReanalysisConfig, run: RunFolder, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write the report of a run.

    Parameters
    ----------
    config : ReanalysisConfig
        Of the run.
    run : RunFolder
        With metrics.json; report.html is written to it.
    tables : mapping of str to DataFrame
        Network to its cross-validation.
    """
    metrics = read_metrics(run.partial)
    names = ", ".join(network.name for network in config.networks) or "no network"
    report = Report("A reanalysis at the surface, corrected with stations", names, run=run)
    for line in _verdicts(config, metrics):
        report.headline(line, kind="plain")
    if config.grid is not None:
        _surface(report, config, run, metrics)
        if any(network.modelled == "grid" for network in config.networks):
            _product(report, run)
    for network in config.networks:
        found = metrics["networks"][network.name]
        _network(report, network, found, tables[network.name], metrics)
        _trust(report, network, found, run)
    report.section(
        "How it was made",
        "The residual (observed less modelled) of each station and period is learnt from predictors, and "
        "what is left is interpolated in space. Every score is of a station that the fit did not see (loso), "
        "or of stations in blocks that it did not see (blocks); penalties, scales and covariances are fitted "
        "without them too. The method to deliver has the lowest RMSE between stations, raw among them.",
    )
    report.keyvalues(config.model.model_dump().items())
    report.write(run.path("report.html"))


def _verdicts(config: ReanalysisConfig, metrics: dict[str, Any]) -> list[str]:
    lines = []
    paired = any(network.modelled == "grid" for network in config.networks)
    if config.grid is not None and not paired:
        lines.append(
            "**The gridded field is the raw reanalysis**: no network of this run lies in its area, so it is "
            "not corrected and has no uncertainty."
        )
    for name, found in metrics.get("networks", {}).items():
        scores = metrics["by_network"][name]
        ours = scores["chosen"]["rmse"]
        line = f"{name}: **{found['delivered']}**, RMSE {ours:.3f} {found['units']} at left-out stations"
        others = [other for other in ("raw", "mean", "idw") if other in scores]
        line += " (" + ", ".join(f"{other} {scores[other]['rmse']:.3f}" for other in others) + ")."
        if found["beats_idw"] is False:
            line += " **It does not beat inverse-distance weighting.**"
        if found["beats_raw"] is False:
            line += " **It does not beat the raw model.**"
        if found.get("worse_stations"):
            line += (
                f" At {len(found['worse_stations'])} of {found['stations']} stations it is worse than raw."
            )
        lines.append(line)
    return lines


def _surface(report: Report, config: ReanalysisConfig, run: RunFolder, metrics: dict[str, Any]) -> None:
    assert config.grid is not None
    species = config.grid.species
    ds = open_dataset(run.partial / "surface.nc", standard=False)
    report.section("The reanalysis at the surface")
    report.figure(
        plots.map_panel(
            [(f"{species}, mean of {ds.sizes['time']} times", ds[species].mean("time"))], label="µg/m3"
        ),
        caption="Mass mixing ratio times the density of moist air, p / (287.06 T (1 + 0.609 q)).",
    )
    report.text("The north-western cell at the first time, to follow by hand:")
    shown = {
        key: value if isinstance(value, str) else f"{value:.7g}"
        for key, value in metrics["first_cell"].items()
    }
    report.keyvalues(shown.items())


def _product(report: Report, run: RunFolder) -> None:
    ds = open_dataset(run.partial / "corrected.nc", standard=False)
    species = str(next(name for name in ds.data_vars))
    unit = {"1e-9": "ppb", "ug m-3": "µg/m3"}[ds[species].attrs["units"]]
    periods = [str(name) for name in ds["period"].values]
    number = len(periods) // 2
    one = ds.isel(period=number)
    report.section(
        "The corrected product", f"Period {periods[number]}; corrected.nc holds all {len(periods)}."
    )
    report.figure(
        plots.map_panel(
            [("raw", one[f"{species}_raw"]), ("corrected", one[species])], label=f"{species} ({unit})"
        ),
        caption="Before and after.",
    )
    report.figure(
        plots.map_panel([("correction", one["correction"])], label=unit, diverging=True),
        caption="Corrected less raw.",
    )
    report.figure(
        plots.map_panel([("standard deviation", one["sd"])], label=unit),
        caption="Of an observation about the corrected value: it grows with the distance to the stations.",
    )


def _network(
    report: Report, network: NetworkSection, found: dict, table: pd.DataFrame, metrics: dict[str, Any]
) -> None:
    unit, delivered = network.units, found["delivered"]
    report.section(f"Network {network.name}: {found['stations']} stations, {found['cases']} cases")
    for scheme, key in (("left-out stations", "by_network"), ("left-out blocks", "by_network_blocks")):
        scores = metrics[key][network.name]
        report.table(
            [{"method": name, **{key: row[key] for key in COLUMNS}} for name, row in scores.items()],
            highlight=delivered,
            best=BEST,
            caption=f"At {scheme}; rmse, mae, bias in {unit}, nrmse and nmsdb in %.",
        )
    report.text("\n".join(f"- `{name}`: {SUMMARIES[name]}" for name in metrics["by_network"][network.name]))
    loso = table[table["scheme"] == "loso"]
    grouped = loso.groupby("station")
    place = grouped[["latitude", "longitude"]].first()
    error = grouped[[delivered, "observed"]].apply(lambda part: _rmse(part[delivered], part["observed"]))
    report.figure(
        station_map(
            place["longitude"].to_numpy(), place["latitude"].to_numpy(), error.to_numpy(),
            label=f"RMSE of {delivered} at the left-out station ({unit})",
        ),
        caption=f"Error of {delivered} at each station when it was left out.",
    )  # fmt: skip
    other = "raw" if "raw" in loso else "idw" if "idw" in loso else None
    if other is not None and other != delivered:
        before = grouped[[other, "observed"]].apply(lambda part: _rmse(part[other], part["observed"]))
        report.figure(
            station_map(
                place["longitude"].to_numpy(), place["latitude"].to_numpy(), (error - before).to_numpy(),
                label=f"RMSE less that of {other} ({unit})", diverging=True,
            ),
            caption=f"Change against {other}: blue is better.",
        )  # fmt: skip
    report.table(
        found["sd_by_distance"],
        caption="Standard deviations that were said and errors that came, by distance to a station. "
        f"Intervals of {found['level']:.0%} held {found['coverage']:.1%} of the observations.",
    )
    choices = ", ".join(f"{name} at {count}" for name, count in found["choices"].items())
    facts = {"best at all other stations": choices}
    if found["covariance"] is not None:
        parts = found["covariance"]
        facts["covariance of what is left"] = (
            f"{parts['sill']:.3g} exp(-d / {parts['length']:g} km), and {parts['nugget']:.3g} at one place"
        )
    if found["spread_within_cells"] is not None:
        facts["spread of stations within a cell"] = (
            f"{found['spread_within_cells']:.3g} {unit} ({found['cells_with_several']} cells)"
        )
    report.keyvalues(facts.items())


def _trust(report: Report, network: NetworkSection, found: dict, run: RunFolder) -> None:
    """Tell how sure the values of a network are and what drives them."""
    add_intervals(
        report, found["interval"], coverage=found["level"], units=network.units,
        title=f"How sure is it: {network.name}",
        text="At each station by fits without it, as wide as held at all other stations. "
        "Blocks are stations.",
    )  # fmt: skip
    title, path = f"What drives this: {network.name}", f"model/{network.name}_drivers.json"
    if not run.has(path):
        report.section(title, "The raw reanalysis is delivered: nothing corrects it.")
        return
    told = Drivers.load(run.find(path))
    add_drivers(report, told.attributions, check=told.check, text=told.text, title=title)


def _rmse(values: pd.Series, observed: pd.Series) -> float:
    return float(np.sqrt(np.mean((values - observed) ** 2)))
