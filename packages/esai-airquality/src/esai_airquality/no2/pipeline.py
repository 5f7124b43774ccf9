"""The steps of the job no2, in terms of its run folder: train, predict, evaluate, report."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from esai_airquality.archive import read_archive, write_archive
from esai_airquality.no2 import crossval, store
from esai_airquality.no2.applicability import fit_applicability
from esai_airquality.no2.config import No2Config
from esai_airquality.no2.crossval import Sample
from esai_airquality.no2.drivers import explain
from esai_airquality.no2.intervals import blocked_intervals, calibrate
from esai_airquality.no2.maps import make_map, open_fields
from esai_airquality.no2.models import fit
from esai_airquality.no2.predictors import Design, design_of, rows_of_stations
from esai_airquality.no2.scoring import gains, measured_coverage, score_tables
from esai_airquality.no2.tables import Observations, read_observations
from esai_core.errors import InputError
from esai_core.io import read_table, write_netcdf, write_table
from esai_core.runs import RunFolder
from esai_core.splits import Fold

__all__ = ["evaluate", "predict", "report", "train"]

log = logging.getLogger(__name__)
DRIVERS = "model/drivers.json"
MODEL, STATIONS, SATELLITE, MAP = "model/no2.npz", "stations.parquet", "satellite.nc", "map.nc"


def train(config: No2Config, run: RunFolder) -> None:
    """Cross-validate all methods and fit the delivered one: ``stations.parquet``, ``model/no2.npz``."""
    with run.stage("open"):
        fields = open_fields(config.data)
        observations = read_observations(config.data, fields)
        for leak in observations.leaks:
            log.warning("left out, as it gives the target away: %s (%s)", leak.column, leak.reason)
        design, sample, table = _sample(config, observations)
        folds = crossval.make_folds(table, config.validation, seed=run.seed)
    judge = f"block_{config.validation.blocks[0]:g}"
    with run.stage("validate"):
        predicted = _cross_validate(config, run, sample, design, folds)
    with run.stage("calibrate"):
        delivered, no2 = config.no2.delivered, config.no2
        made = predicted[f"{judge}/{delivered}"]
        pairs = crossval.pair_predictions(sample, folds[judge], delivered, config=no2, seed=run.seed)
        lower, upper = blocked_intervals(sample.target, made, folds[judge], pairs, coverage=no2.coverage)
        intervals = calibrate(made, sample.target, coverage=no2.coverage)
    with run.stage("fit"):
        model = fit(delivered, sample.rows, sample.target, sample.month, config=no2, seed=run.seed)
        importance = model.importance(len(design.names))
        part = _parts(folds[judge], len(sample.target))
        area = fit_applicability(sample.rows, part, importance, seed=run.seed)
    with run.stage("explain"):
        told = explain(
            sample, folds[judge], delivered, design.names, config=config.no2, units=config.data.units,
            seed=run.seed,
        )  # fmt: skip
        if told is not None:
            told.save(run.path(DRIVERS))
    notes = _notes(config, observations, table, folds, judge)
    notes["importance"] = dict(zip(design.names, importance.tolist(), strict=True))
    store.save(store.Learnt(model, intervals, area, design, notes), run.path(MODEL))
    columns = table[["station", "latitude", "longitude", "time"]].assign(
        observed=sample.target, fold=part, lower=lower, upper=upper,
        dissimilarity=area.index(sample.rows), **predicted,
    )  # fmt: skip
    write_table(columns, run.path(STATIONS))


def _sample(config: No2Config, observations: Observations) -> tuple[Design, Sample, pd.DataFrame]:
    """Make the rows with an observation; the others only count for the satellite's means over time."""
    whole = observations.table
    start = whole["time"].min() if observations.daily else None
    design = design_of(config.no2, satellite=observations.satellite, others=observations.others, start=start)
    rows = rows_of_stations(whole, design)
    seen = whole["target"].notna().to_numpy()
    table = whole[seen].reset_index(drop=True)
    month = (
        table["time"].dt.month.to_numpy(np.int64) - 1
        if observations.daily
        else np.zeros(len(table), np.int64)
    )
    return design, Sample(rows[seen], table["target"].to_numpy(np.float64), month), table


def _cross_validate(
    config: No2Config, run: RunFolder, sample: Sample, design: Design, folds: Mapping[str, list[Fold]]
) -> dict[str, np.ndarray]:
    """Predict every row out of fold: ``{"CV/METHOD": array}``, without the satellite ``METHOD_nosat``."""
    ablate = config.validation.ablation and bool(design.satellite)
    if ablate and len(design.columns(satellite=False)) == 0:
        raise InputError(
            "nothing is left without the satellite", where="validation.ablation",
            remedy="give other predictors too, or set it to false",
        )  # fmt: skip
    bare = sample.columns(design.columns(satellite=False)) if ablate else sample
    saved = run.checkpoints / "validation.npz"
    made: dict[str, np.ndarray] = {}
    if run.resume and saved.exists():
        made, _ = read_archive(saved, wrong="no cross-validations", remedy="run without --resume")
        log.info("going on after %d cross-validations", len(made))
    for name, parts in folds.items():
        for method in config.no2.methods:
            for suffix, rows in (("", sample), ("_nosat", bare)):
                key = f"{name}/{method}{suffix}"
                if key in made or (suffix and (not ablate or method == "climatology")):
                    continue
                made[key] = crossval.out_of_fold(rows, parts, method, config=config.no2, seed=run.seed)
                write_archive(saved, made, {})
    return made


def _parts(folds: list[Fold], rows: int) -> np.ndarray:
    part = np.full(rows, -1, np.int64)
    for number, fold in enumerate(folds):
        part[fold.test] = number
    return part


def _notes(
    config: No2Config, observations: Observations, table: pd.DataFrame, folds: Mapping[str, Any], judge: str
) -> dict[str, Any]:
    days = [f"{day:%Y-%m-%d}" for day in (table["time"].min(), table["time"].max()) if not pd.isna(day)]
    return {
        "judge": judge,
        "folds": {name: len(parts) for name, parts in folds.items()},
        "stations": int(table["station"].nunique()),
        "rows": len(table),
        "days": days,
        "leaks": {leak.column: leak.reason for leak in observations.leaks},
        "trusted": {leak.column: leak.reason for leak in observations.trusted},
        "units": config.data.units,
    }


def predict(config: No2Config, run: RunFolder) -> None:
    """Map the fields, where there are any: ``map.nc``, and ``satellite.nc`` of swaths."""
    with run.stage("predict"):
        learnt = store.load(run.find(MODEL))
        fields = open_fields(config.data)
        if fields is None:
            log.info("no data.fields: there is nothing to map")
            return
        if config.data.swaths is not None:
            columns = [str(name) for name in fields.data_vars if str(name).startswith("no2_column")]
            write_netcdf(
                fields[columns], run.path(SATELLITE),
                provenance={"title": "Tropospheric NO2 columns of TROPOMI, area-weighted"},
            )  # fmt: skip
        write_netcdf(
            make_map(learnt, fields, units=config.data.units, coverage=config.no2.coverage),
            run.path(MAP),
            provenance={"title": "Surface NO2", "method": learnt.model.method},
        )


def evaluate(config: No2Config, run: RunFolder) -> None:
    """Score all methods in all cross-validations: ``metrics.json``."""
    with run.stage("evaluate"):
        learnt, table = store.load(run.find(MODEL)), read_table(run.find(STATIONS))
        notes, delivered = learnt.notes, learnt.model.method
        by_cv = score_tables(table)
        judge = notes["judge"]
        metrics: dict[str, Any] = {
            "split": {
                "judge": judge,
                "folds": notes["folds"],
                "design": "each row is predicted by a model that was fitted without its fold",
            },
            "delivered": delivered,
            "scores": by_cv[judge],
            "by_cv": by_cv,
            "satellite_gain": gains(table, learnt.design.satellite, config.no2.methods, seed=run.seed),
            "interval": measured_coverage(table, f"{judge}/{delivered}", config.no2.coverage),
            "coverage_asked": config.no2.coverage,
            "applicability": {
                "threshold": learnt.applicability.threshold,
                "stations_inside": float((table["dissimilarity"] <= learnt.applicability.threshold).mean()),
                **_mapped(run),
            },
            "cases": {"rows": notes["rows"], "stations": notes["stations"]},
            "days": notes["days"],
            "leaks": notes["leaks"],
            "trusted": notes["trusted"],
            "importance": notes["importance"],
            "units": notes["units"],
        }
        run.write_metrics(metrics)


def _mapped(run: RunFolder) -> dict[str, float]:
    if not run.has(MAP):
        return {}
    with xr.open_dataset(run.find(MAP), engine="netcdf4") as made:
        return {"map_inside": float((made["inside"] == 1).mean())}


def report(config: No2Config, run: RunFolder) -> None:
    """Draw and tell: ``report.html``."""
    from esai_airquality.no2.reporting import write_report

    with run.stage("report"):
        found = xr.open_dataset(run.find(MAP), engine="netcdf4").load() if run.has(MAP) else None
        if found is not None:
            found.close()
        write_report(config, run, store.load(run.find(MODEL)), read_table(run.find(STATIONS)), found)
