"""Draw and tell: report.html of both tasks, from metrics.json and verification.nc alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from esai_core.report import Report, key_message, plots, score_rows
from esai_core.runs import RunFolder
from esai_core.runs.history import read_history
from esai_core.runs.metrics import read_metrics
from esai_seasonal.config import SeasonalConfig
from esai_seasonal.data import open_static
from esai_seasonal.methods.correction import METHODS
from esai_seasonal.trust import conservation, drivers, intervals, intervals_between_nodes

__all__ = ["write_report", "write_superresolution_report"]

BEST = {"rmse": "min", "crps": "min", "crps_fair": "min", "bias": "zero", "acc": "max"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SUMMARIES = {
    **{name: method.summary for name, method in METHODS.items()},
    "network": "varying-coefficient network on a smoothed climatology, fair CRPS",
    "adversarial": "the network, trained on against a discriminator",
    "bilinear": "bilinear interpolation of the coarse field",
    "bicubic": "cubic convolution of the coarse field",
    "lapse_rate": "bilinear along the lapse rate that the training fields have over the relief",
    "residual_climatology": "bilinear plus the mean residual of the hour or month",
}


def write_report(config: SeasonalConfig, run: RunFolder, found: xr.Dataset) -> None:
    """Write the report of a correction.

    Parameters
    ----------
    config : SeasonalConfig
        Of the run.
    run : RunFolder
        With metrics.json; report.html is written to it.
    found : Dataset
        Content of verification.nc.
    """
    metrics = read_metrics(run.partial)
    units, delivered = metrics["units"], metrics["delivered"]
    source = config.data.forecast or config.data.hindcast or config.data.reference
    report = Report(
        f"{config.data.variable}: a seasonal forecast, corrected",
        f"{source.name} to {config.data.reference.name}, {_years(metrics['split']['test'])}",
        run=run,
    )
    report.headline(key_message(metrics, score="crps", units=units))
    report.headline(*_verdict(metrics), kind="plain" if metrics["selection"]["network_wins"] else "warning")
    _scores(report, metrics)
    _maps(report, config, found, metrics)
    _by_lead_and_month(report, metrics)
    _skill(report, metrics, "crpss")
    intervals(report, metrics)
    drivers(report, run)
    _calibration(report, found, delivered)
    _spectra(report, found)
    _realism(report, metrics)
    _training(report, run, metrics)
    _how(report, config, metrics)
    report.write(run.path("report.html"))


def _years(pair: list[Any]) -> str:
    return f"starts of {pair[0]} to {pair[1]}"


def _verdict(metrics: dict[str, Any]) -> tuple[str]:
    """Say how the choice was made, and that the network lost where it did."""
    chosen = metrics["selection"]
    score, table = chosen["score"], chosen["validation"]
    best, base = (
        chosen["delivered"] if "delivered" in chosen else metrics["delivered"],
        chosen["best_baseline"],
    )
    if chosen["network_wins"] is None:
        return (f"No network was trained; **{best}** had the best {score} on the validation starts.",)
    network = table["network"][score]
    if best == "adversarial":
        return (
            f"The adversarial network was asked for and is delivered: on the validation part its {score} was "
            f"{table[best][score]:.4f}, that of the supervised network {network:.4f}, and "
            f"{table[base][score]:.4f} that of the best classical method, {base}.",
        )
    if chosen["network_wins"]:
        return (
            f"The network was chosen on the validation starts alone: {score} {network:.4f} against "
            f"{table[base][score]:.4f} of the best classical method there, {base}.",
        )
    return (
        f"**The network did not win** on the validation starts ({score} {network:.4f}, {base} "
        f"{table[base][score]:.4f}), "
        f"so {base} is delivered. Its scores on the test starts are in the table all the same.",
    )


def _scores(report: Report, metrics: dict[str, Any]) -> None:
    units = metrics["units"]
    rows = score_rows(metrics, score="rmse")
    report.section(
        "Scores",
        f"On {metrics['cases']:,} cases that all methods share, weighted by area; "
        f"rmse, crps and bias in {units}. "
        "`crps_fair` allows for the number of members; `spread_skill` is 1 for a reliable ensemble.",
    )
    report.table(rows, highlight=metrics["delivered"], best=BEST)
    report.text("\n".join(f"- `{row['method']}`: {SUMMARIES.get(row['method'], '')}" for row in rows))


def _maps(report: Report, config: SeasonalConfig, found: xr.Dataset, metrics: dict[str, Any]) -> None:
    units, delivered = metrics["units"], metrics["delivered"]
    land = _land(config, found["example_reference"])
    report.section("Maps")
    fields = [
        ("raw forecast", found["example_raw"]),
        (f"corrected ({delivered})", found["example_delivered"]),
        ("reference", found["example_reference"]),
    ]
    when = f"start {found.attrs['example_start']}, lead {found.attrs['example_lead']}"
    report.figure(
        plots.map_panel(fields, label=f"{config.data.variable} ({units})", mask=land),
        caption=f"Ensemble mean of one forecast ({when}): interpolated, corrected, and what came.",
        alt="Three maps: raw forecast, corrected forecast, reference",
    )
    methods = found["method"].values.tolist()
    for name, title, diverging in (("bias_map", "mean error", True), ("rmse_map", "RMSE", False)):
        panels = [(m, found[name].sel({"method": m}, drop=True)) for m in methods]
        report.figure(
            plots.map_panel(panels, label=f"{title} ({units})", mask=land, diverging=diverging),
            caption=f"{title[0].upper()}{title[1:]} over all test starts and leads, on one colour scale.",
        )


def _land(config: SeasonalConfig, like: xr.DataArray) -> xr.DataArray | None:
    from esai_core.grid import Grid

    path = config.data.static_fine
    return open_static(path, Grid.from_dataset(like), "data.static_fine").land if path is not None else None


def _by_lead_and_month(report: Report, metrics: dict[str, Any]) -> None:
    units, delivered = metrics["units"], metrics["delivered"]
    report.section("By lead and month")
    leads = list(metrics["by_lead"])
    methods = [m for m in metrics["scores"] if m != "raw"]
    for score in ("rmse", "crps"):
        series = {m: [_value(metrics["by_lead"][lead][m][score]) for lead in leads] for m in methods}
        if len(leads) > 1:
            report.figure(
                plots.lines_by(
                    [int(lead) for lead in leads],
                    series,
                    xlabel="lead",
                    ylabel=f"{score.upper()} ({units})",
                    highlight=delivered,
                ),
                caption=f"{score.upper()} by lead. The raw forecast "
                f"({metrics['scores']['raw'][score]:.3g} {units}) is off the scale and left out."
                if "raw" in metrics["scores"]
                else f"{score.upper()} by lead.",
            )
    months = list(metrics["by_month"])
    names = [MONTHS[int(m) - 1] for m in months]
    table = np.array([[_value(metrics["by_month"][m][k]["crps"]) for m in months] for k in methods])
    report.figure(
        plots.heatmap(
            table, rows=methods, columns=names, column_label="month of the start", label=f"CRPS ({units})"
        ),
        caption="CRPS by month of the start, over all leads.",
    )


def _value(value: float | None) -> float:
    return np.nan if value is None else value


def _skill(report: Report, metrics: dict[str, Any], score: str) -> None:
    delivered = metrics["delivered"]
    rows = {name: row[score] for name, row in metrics["skill"].items() if score in row}
    if not rows:
        return
    what = "CRPS" if score == "crpss" else "RMSE"
    figure = plots.skill_bars(
        {name: row["estimate"] for name, row in rows.items()},
        intervals={name: (row["lower"], row["upper"]) for name, row in rows.items()},
        label=f"{what} skill of {delivered} against each method",
    )
    report.section("Skill against each method")
    report.figure(
        figure,
        caption=f"One minus {what} of {delivered} over {what} of each method, on the test cases: above zero "
        "the delivered method is better. "
        "Lines span 90 % intervals from whole blocks (years, or days) drawn with replacement.",
    )


def _calibration(report: Report, found: xr.Dataset, delivered: str) -> None:
    report.section("Reliability")
    methods = found["method"].values.tolist()
    curves = {
        m: tuple(
            found[f"reliability_{part}"].sel({"method": m}).values
            for part in ("forecast", "observed", "count")
        )
        for m in methods
    }
    report.figure(
        plots.reliability_diagram(curves, base_rate=1 / 3, highlight=delivered),
        caption="How often the upper tercile of the training climatology was observed where a probability "
        "was forecast. "
        "On the diagonal a forecast means what it says; dotted: climatological frequency and no skill.",
    )
    counts = {}
    for m in methods:
        ranks = found["rank_count"].sel({"method": m}).values
        counts[m] = ranks[np.isfinite(ranks)]
    report.figure(
        plots.rank_histogram(counts),
        caption="Rank of the observation among the members: flat for a reliable ensemble, a U where the "
        "spread is too small, a hump where it is too large, a slope for a bias.",
    )


def _spectra(report: Report, found: xr.Dataset) -> None:
    if "spectrum" not in found:
        return
    power = {str(f): found["spectrum"].sel(field=f).values for f in found["field"].values}
    if not all(np.isfinite(v).any() for v in power.values()):
        return
    report.section("Spectra")
    report.figure(
        plots.spectra(
            found["wavenumber"].values,
            power,
            xlabel="wavenumber (cycles per degree)",
            ylabel="variance density",
            reference="reference",
        ),
        caption="Mean spatial power spectrum of single fields (one member) beside the reference: what is "
        "missing at high wavenumbers is detail that the fields lack.",
    )


def _realism(report: Report, metrics: dict[str, Any]) -> None:
    """Show what adversarial networks are for beside what they cost."""
    if "realism" not in metrics:
        return
    power, draws = metrics["realism"]["power_ratio"], metrics["realism"].get("draws")
    spread = (
        "spread_skill is the spread of the ensemble over its error."
        if draws is None
        else f"The mean of {draws['number']} draws of the adversarial network has an RMSE of "
        f"{_value(draws['rmse']):.4f} {metrics['units']}, and their spread is "
        f"{_value(draws['spread_skill']):.2f} of it."
    )
    shown = ("rmse",) if draws else ("rmse", "spread_skill")
    rows = [
        {"method": m, "power at small scales": ratio, **{k: metrics["scores"][m][k] for k in shown}}
        for m, ratio in power.items()
    ]
    report.section(
        "Realism",
        "Power of the fields beyond half of the highest wavenumber, over that of the reference (1 is right), "
        f"and RMSE. {spread}",
    )
    report.table(rows, highlight=metrics["delivered"], caption="Power ratio at small scales, and errors.")


def _training(report: Report, run: RunFolder, metrics: dict[str, Any]) -> None:
    chosen = metrics["selection"]
    report.section(
        "Choice of the method",
        "Every method was fitted on the training part alone and scored on the validation part; "
        f"the best {chosen['score']} "
        "is delivered. Then all were fitted again on both parts. The test part was not looked at.",
    )
    rows = [{"method": m, **row} for m, row in chosen["validation"].items()]
    rows.sort(key=lambda row: _value(row[chosen["score"]]))
    best = {k: v for k, v in BEST.items() if k in rows[0]}
    report.table(rows, highlight=metrics["delivered"], best=best, caption="Scores on the validation part.")
    if run.has("history.csv"):
        rows = [{k: _value(v) for k, v in row.items()} for row in read_history(run.find("history.csv"))]
        epochs = sorted({int(row["epoch"]) for row in rows if row["epoch"] == row["epoch"]})
        runs = sorted({(int(row["refit"]), int(row["network"])) for row in rows})
        series = {}
        for part, number in runs:
            losses = {
                int(r["epoch"]): r["loss"] for r in rows if (r["refit"], r["network"]) == (part, number)
            }
            series[f"{('training part', 'both parts')[part]}, network {number}"] = [
                _value(losses.get(e)) for e in epochs
            ]
        report.figure(
            plots.lines_by(epochs, series, xlabel="epoch", ylabel="training loss"),
            caption="Loss of each network while it was trained: on the training part, then on both parts.",
        )


def _how(report: Report, config: SeasonalConfig, metrics: dict[str, Any]) -> None:
    split = metrics["split"]
    report.section("How it was made")
    pairs: dict[str, Any] = {
        "reference": config.data.reference.name,
        "training": f"{split['train'][0]} to {split['train'][1]}",
        "validation": f"{split['validate'][0]} to {split['validate'][1]}",
        "test": f"{split['test'][0]} to {split['test'][1]}",
        "variable": config.data.variable,
    }
    if config.data.hindcast is not None:
        pairs = {"hindcast": config.data.hindcast.name, **pairs}
    if config.model.network:
        pairs |= {"networks": config.model.networks, "epochs": config.train.epochs, "seed": config.train.seed}
    report.keyvalues(pairs)


def write_superresolution_report(config: SeasonalConfig, run: RunFolder, found: xr.Dataset) -> None:
    """Write the report of a super-resolution; parameters as of `write_report`."""
    metrics = read_metrics(run.partial)
    units, delivered = metrics["units"], metrics["delivered"]
    report = Report(
        f"{config.data.variable}: {config.data.factor} times finer",
        f"{config.data.reference.name}, {metrics['split']['test'][0]} to {metrics['split']['test'][1]}",
        run=run,
    )
    report.headline(key_message(metrics, score="rmse", units=units))
    report.headline(*_verdict(metrics), kind="plain" if metrics["selection"]["network_wins"] else "warning")
    _scores(report, metrics)
    land = _land(config, found["example_reference"])
    base = metrics["selection"]["best_baseline"]
    shown = list(dict.fromkeys(("bilinear", base, delivered)))
    report.section("Maps")
    panels = [(m, found[f"example_{m}"]) for m in shown] + [("reference", found["example_reference"])]
    report.figure(
        plots.map_panel(panels, label=f"{config.data.variable} ({units})", mask=land, columns=2),
        caption=f"One field ({found.attrs['example_time']}) from its coarse nodes, and the truth.",
    )
    panels = [(m, found[f"example_{m}"] - found["example_reference"]) for m in shown]
    report.figure(
        plots.map_panel(panels, label=f"error ({units})", mask=land, diverging=True),
        caption="Errors of the same fields.",
    )
    panels = [(m, found["rmse_map"].sel({"method": m}, drop=True)) for m in shown]
    report.figure(
        plots.map_panel(panels, label=f"RMSE ({units})", mask=land),
        caption="RMSE over all test times; zero at the nodes that both grids share.",
    )
    group = next(key for key in ("by_hour", "by_month") if key in metrics)
    times = list(metrics[group])
    series = {m: [_value(metrics[group][t][m]["rmse"]) for t in times] for m in metrics["scores"]}
    report.section(f"By {group[3:]}")
    report.figure(
        plots.lines_by(
            [int(t) for t in times], series, xlabel=group[3:], ylabel=f"RMSE ({units})", highlight=delivered
        ),
        caption=f"RMSE by {group[3:]} of the time.",
    )
    _skill(report, metrics, "rmse_skill")
    intervals_between_nodes(report, metrics)
    drivers(report, run)
    conservation(report, metrics)
    _spectra(report, found)
    _realism(report, metrics)
    _training(report, run, metrics)
    _how(report, config, metrics)
    report.write(run.path("report.html"))
