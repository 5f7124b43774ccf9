"""report.html: scores with intervals, reliability, ROC, maps, weights and importances."""

from __future__ import annotations

from typing import Any

import xarray as xr

from esai_core.report import Report, key_message, plots, score_rows
from esai_core.runs import RunFolder
from esai_core.runs.metrics import read_metrics
from esai_core.verify import reliability, roc
from esai_s2s.config import S2sConfig
from esai_s2s.scoring import cases_of, open_verification
from esai_s2s.store import load

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
    metrics, found = read_metrics(run.partial), open_verification(run)
    report = Report(
        f"{', '.join(config.data.variables)}: sub-seasonal forecasts of {config.data.categories} categories",
        f"{(config.data.forecast or config.data.observations).name}, {metrics['cases']:,} test cases",
        run=run,
    )
    report.headline(key_message(metrics, score="rpss", lower_is_better=False))
    if config.split.allow_torn_seasons:
        report.note(
            "Calendar years may tear a season at New Year: the scores may be too good.", kind="warning"
        )
    _scores(report, metrics)
    for ds in found:
        _window(report, ds, metrics)
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


def _window(report: Report, ds: xr.Dataset, metrics: dict[str, Any]) -> None:
    variable, window, delivered = ds.attrs["variable"], ds.attrs["window"], metrics["delivered"]
    label = f"{variable} {window}"
    cases = cases_of(ds)
    report.section(f"{variable}, {window}")
    means = cases[["rps", "reference"]].weighted(cases["weight"].fillna(0.0)).mean(("start", "cell"))
    skill = (1 - means["rps"] / means["reference"]).to_series().to_dict()
    bounds = metrics["rpss_interval_90"].get(label)
    report.figure(
        plots.skill_bars(
            {k: v for k, v in skill.items() if k != "climatology"},
            intervals=None
            if bounds is None
            else {k: (a, b) for k, (a, b) in bounds.items() if k != "climatology"},
            label="RPSS",
            highlight=delivered,
        ),
        caption="RPSS of each method; bars are 90 % intervals from drawing whole blocks.",
    )
    curves, areas = {}, []
    forecast = ds["probability"].sel({"method": delivered}, drop=True)
    for number, category in enumerate(ds["category"].values.tolist()):
        event = (ds["observed"] == number).astype(float).where(ds["observed"].notnull())
        probability = forecast.sel(category=category, drop=True)
        diagram = reliability(probability, event)
        curves[category] = (diagram["forecast"].values, diagram["observed"].values, diagram["count"].values)
        areas.append(
            {"category": category, "area under the ROC curve": float(roc(probability, event)["auc"])}
        )
    report.figure(
        plots.reliability_diagram(curves, base_rate=1 / ds.sizes["category"]),
        caption=f"Reliability of `{delivered}`: frequency of a category by its forecast probability.",
    )
    report.table(areas, caption="0.5 is no discrimination, 1 is perfect.")
    if "latitude" in ds.coords and ds.sizes["cell"] > 3:
        by_cell = cases[["rps", "reference"]].sum("start", min_count=1)
        field = (1 - by_cell["rps"] / by_cell["reference"]).sel({"method": delivered}, drop=True)
        field = field.set_index(cell=("latitude", "longitude")).unstack("cell")
        report.figure(
            plots.map_panel(
                [(f"RPSS of {delivered}", field)], label="RPSS", diverging=True, limits=(-0.5, 0.5)
            ),
            caption="RPSS of each cell; grey cells have no observations.",
        )


def _models(report: Report, run: RunFolder, found: list[xr.Dataset]) -> None:
    report.section("Weights and importances")
    rows = []
    for ds in found:
        if "weight" in ds:
            mean = ds["weight"].mean("fold")
            label = f"{ds.attrs['variable']} {ds.attrs['window']}"
            rows.append(
                {"sample": label, **{str(n): float(mean.sel(weighed=n)) for n in ds["weighed"].values}}
            )
    if rows:
        report.table(rows, caption="Mean weight in the ensemble over the folds.")
    table = []
    for ds in found:
        name = f"{ds.attrs['variable']}_{ds.attrs['window']}"
        for method, model in load(run.find(f"model/{name}")).models.items():
            for predictor, value in model.importances().items():
                table.append({"sample": name, "method": method, "predictor": predictor, "importance": value})
    if table:
        report.table(
            table,
            caption="Importance of each predictor: size of the coefficients (logistic), decrease of impurity "
            "(forest), share of the gain (boosting), coefficient and share of the variance (emos).",
        )
