"""report.html: scores with intervals, reliability, ROC, maps, weights and importances."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.report import Report, add_drivers, add_intervals, key_message, plots, score_rows
from esai_core.runs import RunFolder
from esai_core.runs.metrics import read_metrics
from esai_s2s.config import S2sConfig
from esai_s2s.curves import brier_parts, drawn_blocks, reliability_curve, roc_curve
from esai_s2s.drivers import drivers_of_dict
from esai_s2s.intervals import COVERAGE
from esai_s2s.store import load_models, load_weights

__all__ = ["write_report"]

SUMMARIES = {
    "climatology": "equal probabilities",
    "raw": "fraction of members in each category of the model's own climate",
    "logistic": "multinomial logistic regression, per cell",
    "forest": "random forest on all cells together",
    "boosting": "gradient-boosted trees on all cells together",
    "emos": "normal distribution about the ensemble mean",
    "ensemble": "weighted mean of the others, weights from out-of-fold forecasts, pulled to climatology",
}


def write_report(config: S2sConfig, run: RunFolder) -> None:
    """Write the report of a run that was evaluated."""
    metrics = read_metrics(run.partial)
    found = []
    for path in sorted(run.find("diagnostics").glob("*.nc")):
        with xr.open_dataset(path, engine="netcdf4") as ds:
            found.append(ds.load())
    report = Report(
        f"{', '.join(config.data.variables)}: sub-seasonal forecasts of {config.data.categories} categories",
        f"{config.data.title}, {metrics['cases']:,} test cases",
        run=run,
    )
    report.headline(key_message(metrics, score="rpss", lower_is_better=False))
    if config.split.allow_torn_seasons:
        report.note(
            "Calendar years may tear a season at New Year: the scores may be too good.", kind="warning"
        )
    _scores(report, metrics)
    for ds in found:
        _window(report, ds, metrics, config.seed)
    _trust(report, run, found)
    _models(report, run, found)
    report.section("How it was done").keyvalues(
        {
            "held out": f"{metrics['split']['blocks']} by {metrics['split']['blocks']}",
            "test blocks": ", ".join(metrics["split"]["test_blocks"]),
            "edges of categories": f"{config.edges.group}, window {config.edges.window}, fitted in each fold",
            "weights of the ensemble": f"{config.split.inner} inner parts of each training sample",
        }
    )
    report.write(run.path("report.html"))


def _scores(report: Report, metrics: dict[str, Any]) -> None:
    best: Any = {"rpss": "max", "rpss_fair": "max", "rps": "min"}
    report.section(
        "Scores",
        "Skill against equal probabilities: 0 is climatology, 1 is perfect. "
        "`rpss_fair` allows for the number of members.",
    )
    report.table(
        score_rows(metrics, score="rpss", lower_is_better=False),
        highlight=metrics["delivered"],
        best=best,
        digits=4,
    )
    report.text("\n".join(f"- `{name}`: {SUMMARIES[name]}" for name in metrics["scores"]))
    if len(metrics["by_lead"]) > 1:
        rows = {
            name: {lead: table[name]["rpss"] for lead, table in metrics["by_lead"].items()}
            for name in metrics["scores"]
        }
        wins: Any = dict.fromkeys(metrics["by_lead"], "max")
        report.table(rows, caption="RPSS by window.", highlight=metrics["delivered"], best=wins, digits=4)


def _window(report: Report, ds: xr.Dataset, metrics: dict[str, Any], seed: int) -> None:
    variable, window, delivered = ds.attrs["variable"], ds.attrs["window"], metrics["delivered"]
    label = f"{variable} {window}"
    report.section(f"{variable}, {window}")
    bounds = metrics["rpss_interval_90"].get(label)
    skill = metrics["by_sample"][label]
    report.figure(
        plots.skill_bars(
            {k: v["rpss"] for k, v in skill.items() if k != "climatology"},
            intervals=None
            if bounds is None
            else {k: (a, b) for k, (a, b) in bounds.items() if k != "climatology"},
            label="RPSS",
            highlight=delivered,
        ),
        caption="RPSS of each method; bars are 90 % intervals from drawing whole blocks.",
    )
    _curves(report, ds, delivered, seed)
    if "latitude" in ds.coords and ds.sizes["cell"] > 3:
        field = ds["rpss"].set_index(cell=("latitude", "longitude")).unstack("cell")
        shown = [
            delivered,
            *(name for name in ds["method"].values.tolist() if name not in (delivered, "climatology")),
        ]
        report.figure(
            plots.map_panel(
                [(name, field.sel({"method": name}, drop=True)) for name in shown[:6]],
                label="RPSS",
                diverging=True,
                limits=(-0.5, 0.5),
            ),
            caption="RPSS of each cell; grey cells have no observations.",
        )


def _curves(report: Report, ds: xr.Dataset, delivered: str, seed: int) -> None:
    """Draw reliability and ROC, with intervals where there are blocks to draw."""
    number = ds.sizes["block_label"]
    draws = drawn_blocks(number, seed=seed)
    diagrams, rates, areas = {}, {}, []
    for category in ds["category"].values.tolist():
        counts = ds.sel(category=category, drop=True)
        diagrams[category] = reliability_curve(counts, draws)
        rates[category] = roc_curve(counts, draws)
    several = number > 1
    note = " Bars and bands are 90 % intervals from drawing whole blocks." if several else ""
    report.figure(
        plots.reliability_diagram(
            {k: (d["forecast"].values, d["observed"].values, d["count"].values) for k, d in diagrams.items()},
            intervals={k: (d["lower"].values, d["upper"].values) for k, d in diagrams.items()}
            if several
            else None,
            base_rate=1 / ds.sizes["category"],
        ),
        caption=f"Reliability of `{delivered}`: frequency of a category by its forecast probability.{note}",
    )
    first = next(iter(rates.values()))
    report.figure(
        plots.lines_by(
            first["false_alarms"].values,
            {name: rate["hits"].values for name, rate in rates.items()},
            xlabel="false alarm rate",
            ylabel="hit rate",
            bands={k: (r["lower"].values, r["upper"].values) for k, r in rates.items()} if several else None,
        ),
        caption=f"ROC of `{delivered}`: warnings at falling probabilities.{note}",
    )
    for name, rate in rates.items():
        row: dict[str, Any] = {"category": name, "area under the ROC curve": float(rate["auc"])}
        if several:
            row |= {"from": float(rate["auc_lower"]), "to": float(rate["auc_upper"])}
        areas.append(row)
    report.table(areas, caption="0.5 is no discrimination, 1 is perfect; from, to: 90 % interval.")


def _trust(report: Report, run: RunFolder, found: list[xr.Dataset]) -> None:
    """Tell how sure the forecasts are, and what drives them."""
    names = {
        f"{ds.attrs['variable']} {ds.attrs['window']}": f"{ds.attrs['variable']}_{ds.attrs['window']}"
        for ds in found
    }
    told = {
        label: json.loads(run.find(f"diagnostics/{name}.json").read_text()) for label, name in names.items()
    }
    add_intervals(
        report,
        {label: one["intervals"] for label, one in told.items()},
        coverage=COVERAGE,
        text="They hold the value of the window, not its category: quantiles of EMOS (of the annual cycle "
        "where there is no forecast), widened or narrowed by the errors on training blocks that they were "
        "not fitted on, for each cell and fold. Widths are in the units of the observations.",
    )
    report.table(
        [
            {"sample": label, "category": category, **brier_parts(ds.sel(category=category, drop=True))}
            for label, ds in zip(told, found, strict=True)
            for category in ds["category"].values.tolist()
        ],
        caption="Of the probabilities: the Brier score is reliability (0 is best) less resolution (more is "
        "better) plus the uncertainty of the category itself (Murphy 1973, ten bins). Curves of the "
        "reliability with intervals are above.",
        digits=4,
    )
    for label, one in told.items():
        drivers = drivers_of_dict(one)
        if drivers.attributions:
            add_drivers(
                report,
                drivers.attributions,
                check=drivers.check,
                text=f"{label}: what each method loses when the anomalies of a predictor are shuffled, on "
                f"cases that it was not fitted on ({one['held_out']}; {one['cells']} cells).",
            )


def _models(report: Report, run: RunFolder, found: list[xr.Dataset]) -> None:
    report.section("Weights and importances")
    rows, table = [], []
    for ds in found:
        name = f"{ds.attrs['variable']}_{ds.attrs['window']}"
        folder = run.find(f"model/{name}")
        by_fold = load_weights(folder)["by_fold"]
        if by_fold:
            mean = {method: sum(own[method] for own in by_fold) / len(by_fold) for method in by_fold[0]}
            rows.append({"sample": name, **mean})
        table += _importances(name, folder)
    if rows:
        report.table(rows, caption="Mean weight in the ensemble over the folds.")
    if table:
        report.table(
            table,
            caption="Importance of each predictor: size of the coefficients (logistic), decrease of impurity "
            "(forest), share of the gain (boosting), coefficient and share of the variance (emos); mean over "
            "cells.",
        )


def _importances(name: str, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each method and predictor, the mean over the parts with the weight of their cells."""
    sums: dict[tuple[str, str], list[float]] = {}

    def add(models: dict[str, Any], cells: float) -> None:
        for method, model in models.items():
            for predictor, value in model.importances().items():
                if np.isfinite(value):
                    total = sums.setdefault((method, predictor), [0.0, 0.0])
                    total[0] += cells * value
                    total[1] += cells

    add(load_models(folder), 1.0)
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        add(load_models(part), float(np.load(part / "cells.npy").sum()))
    return [
        {"sample": name, "method": method, "predictor": predictor, "importance": total / cells}
        for (method, predictor), (total, cells) in sums.items()
    ]
