"""The task ``burned_area``: its steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.runs import RunFolder
from esai_core.uncertainty import Interval, with_interval
from esai_fire.catalogue import canonical
from esai_fire.causes import find_causes
from esai_fire.config import FireConfig
from esai_fire.drivers import explain
from esai_fire.emission_steps import (
    evaluate_emissions,
    predict_emissions,
    train_emissions,
    wants_emissions,
)  # fmt: skip
from esai_fire.forecasters import Settings
from esai_fire.intervals import predictive
from esai_fire.nested import Nested, run_nested
from esai_fire.opening import Problem, open_problem
from esai_fire.scoring import held_by, scores_of, skill_of_series
from esai_fire.stability import half_samples, selection_frequency

__all__ = ["evaluate", "predict", "read_forecasts", "report", "train"]

DELIVERED = "stack"


def _settings(config: FireConfig, run: RunFolder) -> Settings:
    model = config.model
    return Settings(
        lambdas=model.lambdas, lambda_ratio=model.lambda_ratio, alpha=model.alpha, fdr=model.fdr,
        detrend=model.detrend, threads=run.workers, engine=model.engine, distribute=run.cluster is not None,
    )  # fmt: skip


def train(config: FireConfig, run: RunFolder) -> None:
    """Fit every forecaster in every fold; writes the forecasts, the selection and what drives them."""
    with run.stage("open"):
        problem = open_problem(config)
    settings, pool = _settings(config, run), problem.pool if config.model.pool else None
    with run.stage("fit"):
        nested = run_nested(
            problem.series,
            problem.predictors,
            problem.plan,
            forecasters=config.model.forecasters,
            settings=settings,
            pool=pool,
            confidence=config.model.confidence,
        )
    io.write_netcdf(_nested_dataset(problem, nested), run.path("model/nested.nc"), dtype="float64")
    with run.stage("select"):
        chosen = _selection(config, problem, nested, run)
    io.write_netcdf(chosen, run.path("model/selection.nc"), dtype="float64")
    with run.stage("explain"):
        told = explain(problem, nested, pool=pool, settings=settings, seed=run.seed)
        told.save(run.path("model/drivers.json"))
        causes = find_causes(
            problem.months, problem.indices, names=[canonical(name) for name in config.predictors.indices],
            years=_years(problem.series.year[problem.plan.train]), seed=run.seed,
        )  # fmt: skip
        if causes is not None:
            causes.save(run.path("model/causes.json"))
    if wants_emissions(config):
        with run.stage("emissions"):
            train_emissions(config, problem, run)


def _coordinates(problem: Problem) -> dict:
    series = problem.series
    made = {
        "series": series.names.astype(str),
        "peak_month": ("series", series.peak),
        "row": ("series", series.row),
        "column": ("series", series.column),
        "year": ("sample", series.year),
    }
    if series.month.any():
        made["month"] = ("sample", series.month)
    return made


def _nested_dataset(problem: Problem, nested: Nested) -> xr.Dataset:
    methods = list(nested.outer)
    plan, series = problem.plan, problem.series
    return xr.Dataset(
        {
            "observed": (("series", "sample"), series.y, {"units": problem.units}),
            "forecast": (("method", "series", "sample"), np.stack([nested.outer[m] for m in methods])),
            "inner": (("method", "series", "set", "sample"), np.stack([nested.inner[m] for m in methods])),
            "share": (("series", "set", "member"), nested.share),
            "kkt": ("series", nested.kkt),
            "of_sample": ("sample", plan.of_row),
            "train": ("sample", plan.train.astype(np.int8)),
            "test": ("sample", plan.test.astype(np.int8)),
            "latitude_of_grid": ("latitude", problem.latitude),
            "longitude_of_grid": ("longitude", problem.longitude),
        },
        coords={**_coordinates(problem), "method": methods, "member": list(nested.members)},
    )


def _selection(config: FireConfig, problem: Problem, nested: Nested, run: RunFolder) -> xr.Dataset:
    """Correlations, coefficients and selection frequencies on all training rows, for the report."""
    from esai_fire.forecasters import make_block
    from esai_fire.screening import discoveries, p_values

    series, predictors, plan = problem.series, problem.predictors, problem.plan
    predictors, design = predictors.of_series(series.peak)
    whole = type(plan)(
        plan.sets[plan.outer[-1:]], np.zeros(1, int), np.full((1, series.year.size), -1),
        np.zeros(series.year.size, int), plan.train, plan.test,
    )  # fmt: skip
    block = make_block(
        series.y, design, series.season, series.year, predictors, whole, _settings(config, run)
    )
    r = block.r[:, 0]
    passed = discoveries(p_values(r, block.count), rate=config.model.fdr)
    data = {
        "correlation": (("series", "predictor"), r),
        "passed": (("series", "predictor"), passed.astype(np.int8)),
        **{f"coef_{name}": (("series", "predictor"), value) for name, value in nested.selected.items()},
    }
    if config.model.stability:
        halves = half_samples(
            series.year, plan.train, pairs=max(config.model.stability // 2, 1), seed=run.seed
        )
        base = block.climatology[:, 0] / block.unit
        scaled = np.where(block.known, block.y / block.unit, np.nan)
        data["stability"] = (
            ("series", "predictor"),
            selection_frequency(
                predictors.x, scaled, design, halves, alpha=config.model.alpha, threads=run.workers,
                offset=np.log(np.where(base > 0.0, base, 1.0)),
            ),
        )  # fmt: skip
    return xr.Dataset(
        data,
        coords={
            "series": series.names.astype(str),
            "predictor": predictors.labels,
            "index": ("predictor", predictors.names.astype(str)),
            "lag": ("predictor", predictors.lags),
            "of_land": ("predictor", (predictors.oceans == "land").astype(np.int8)),
        },
    )


def read_forecasts(run: RunFolder) -> xr.Dataset:
    """Read what `train` left."""
    with xr.open_dataset(run.find("model/nested.nc"), engine="netcdf4") as ds:
        return ds.load()


def _predictive(config: FireConfig, ds: xr.Dataset, method: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give lower and upper ends and the CRPS of a method, each (C, n)."""
    made = predictive(
        ds["observed"].values,
        ds["forecast"].sel({"method": method}).values,
        ds["inner"].sel({"method": method}).values,
        of_row=ds["of_sample"].values,
        train=ds["train"].values.astype(bool),
        level=config.intervals.level,
        kind=config.intervals.kind,
    )
    return made.lower, made.upper, made.crps


def predict(config: FireConfig, run: RunFolder) -> None:
    """Write ``forecast.nc`` (cells), ``regions.csv`` (totals) and ``scored.nc``, every method in them."""
    ds = read_forecasts(run)
    with run.stage("intervals"):
        found = {str(m): _predictive(config, ds, str(m)) for m in ds["method"].values}
    keep = ds.drop_vars(["inner", "share"])
    for number, name in enumerate(("lower", "upper", "crps")):
        values = np.stack([found[str(m)][number] for m in ds["method"].values])
        keep[name] = (("method", "series", "sample"), values)
    io.write_netcdf(keep, run.path("model/scored.nc"), dtype="float64")
    _regions_table(keep).to_csv(run.path("regions.csv"), index=False)
    if ds.sizes["latitude"]:
        io.write_netcdf(_gridded(keep, config), run.path("forecast.nc"))
    if wants_emissions(config):
        with run.stage("convert"):
            predict_emissions(config, ds, run)


def _labels(ds: xr.Dataset) -> pd.Index:
    """Row labels: the year, or the first day of the month."""
    year = ds["year"].values
    if "month" in ds.coords:
        return pd.DatetimeIndex(pd.to_datetime({"year": year, "month": ds["month"].values, "day": 1}))
    return pd.Index(year)


def _regions_table(ds: xr.Dataset) -> pd.DataFrame:
    """Make one line per region and row: observed, every method, the interval of the delivered one."""
    at = np.flatnonzero(ds["row"].values < 0)
    tables = []
    for one in at:
        part = ds.isel(series=one)
        best = part.sel({"method": DELIVERED})
        columns = {
            "region": str(part["series"].values),
            "when": _labels(ds),
            "observed": part["observed"].values,
        }
        columns |= {str(m): part["forecast"].sel({"method": m}).values for m in ds["method"].values}
        columns |= {"lower": best["lower"].values, "upper": best["upper"].values}
        columns |= {"scored": ds["test"].values}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables) if tables else pd.DataFrame({"region": [], "when": [], "observed": []})


def _gridded(ds: xr.Dataset, config: FireConfig) -> xr.Dataset:
    """Put the cells back on their grid."""
    when = _labels(ds)
    time = (
        when if isinstance(when, pd.DatetimeIndex) else pd.to_datetime({"year": when, "month": 1, "day": 1})
    )
    grid = (ds["latitude_of_grid"].values, ds["longitude_of_grid"].values)
    shape = (len(time), grid[0].size, grid[1].size)
    cells = ds.isel(series=np.flatnonzero(ds["row"].values >= 0))
    place = (cells["row"].values, cells["column"].values)

    def spread(values: np.ndarray) -> np.ndarray:
        made = np.full(shape, np.nan)
        made[:, place[0], place[1]] = values.T
        return made

    dims = ("time", "latitude", "longitude")
    best = cells.sel({"method": DELIVERED})
    units = {"units": "m2"}
    level, kind = config.intervals.level, config.intervals.kind
    peak = np.full(shape[1:], np.nan)
    peak[place] = cells["peak_month"].values
    made = xr.Dataset(
        {
            "burned_area": (
                dims,
                spread(best["forecast"].values),
                {**units, "long_name": "forecast burned area"},
            ),
            "observed": (dims, spread(cells["observed"].values), units),
            "climatology": (dims, spread(cells["forecast"].sel({"method": "climatology"}).values), units),
            "peak_month": (
                dims[1:],
                peak,
                {"units": "1", "long_name": "month that the window is centred on"},
            ),
        },
        coords={"time": np.asarray(time, "datetime64[ns]"), "latitude": grid[0], "longitude": grid[1]},
    )
    ends = Interval(spread(best["lower"].values), spread(best["upper"].values))
    text = f"{kind}: from how fits without each training year did in that year"
    return with_interval(made, "burned_area", ends, coverage=level, comment=text)


def _read(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, engine="netcdf4") as ds:
        return ds.load()


def evaluate(config: FireConfig, run: RunFolder) -> None:
    """Write ``metrics.json`` and ``skill.nc``."""
    ds = _read(run.find("model/scored.nc"))
    scored = ds["test"].values.astype(bool)
    with run.stage("verify"):
        methods = [str(m) for m in ds["method"].values]
        skill = skill_of_series(
            np.where(scored, ds["observed"].values, np.nan),
            {m: ds["forecast"].sel({"method": m}).values for m in methods},
            {m: ds["crps"].sel({"method": m}).values for m in methods},
        )
    skill = skill.assign_coords(series=ds["series"], row=ds["row"], column=ds["column"])
    cells = ds["row"].values >= 0
    regions = {
        str(name): scores_of(skill, np.arange(cells.size) == at)
        for at, name in enumerate(ds["series"].values)
        if not cells[at]
    }
    if cells.any():
        scores = scores_of(skill, cells)
        if "total" in regions:
            for method, row in scores.items():
                row |= {
                    f"{name}_total": regions["total"][method][name] for name in ("d2", "crps", "r", "rmse")
                }
    else:
        scores = scores_of(skill, ~cells)
    best = ds.sel({"method": DELIVERED})
    ends = (best["lower"].values, best["upper"].values)
    held = held_by(ds, np.where(scored, ds["observed"].values, np.nan), ends, level=config.intervals.level)
    kkt = ds["kkt"].values
    years = ds["year"].values
    metrics: dict[str, Any] = {
        "split": {
            "kind": "leave-one-year-out" if config.split.holdout is None else "holdout",
            "train": list(_years(years[ds["train"].values.astype(bool)])),
            "test": list(_years(years[scored])),
            "lead_months": config.target.lead_months,
        },
        "delivered": DELIVERED,
        "scores": scores,
        "kkt_max": float(np.nanmax(kkt)) if np.isfinite(kkt).any() else None,
        "cells": int(cells.sum()) if cells.any() else int((~cells).sum()),
        "coverage": held.get("all", {}).get("coverage"),
        "interval": held,
        "units": str(ds["observed"].attrs.get("units", "")),
    }
    if regions:
        metrics["by_region"] = regions
    if wants_emissions(config):
        metrics["emissions"] = evaluate_emissions(run, level=config.intervals.level)
    run.write_metrics(metrics)
    io.write_netcdf(skill, run.path("skill.nc"), dtype="float64")


def _years(years: np.ndarray) -> tuple[int, int]:
    return int(years.min()), int(years.max())


def report(config: FireConfig, run: RunFolder) -> None:
    """Write ``report.html``."""
    from esai_fire.telling import tell_burned_area

    tell_burned_area(config, run)
