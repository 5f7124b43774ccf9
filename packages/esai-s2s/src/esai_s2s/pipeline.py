"""The steps of a run, in terms of its folder: train, predict, evaluate, report."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.io import write_netcdf
from esai_core.runs import RunFolder
from esai_s2s.config import S2sConfig
from esai_s2s.crossval import Verification, cross_validate, guard
from esai_s2s.data import open_samples
from esai_s2s.fitting import fit, make_blocks, make_folds, make_plan
from esai_s2s.sample import LABELS, Sample
from esai_s2s.store import load, save

__all__ = ["delivered_method", "evaluate", "predict", "report", "train"]

log = logging.getLogger(__name__)

LEAST_BLOCKS = 4


def train(config: S2sConfig, run: RunFolder) -> None:
    """Open, check, split and fit: writes ``model/`` and ``verification/`` (out-of-fold forecasts)."""
    with run.stage("open"):
        samples = open_samples(config)
    trained = {"forecast": str(config.data.forecast or "")}
    run.path("model/trained.json").write_text(json.dumps(trained) + "\n")
    for sample in samples:
        name = f"{sample.variable}_{sample.window}"
        blocks = make_blocks(sample.starts, config)
        if len(np.unique(blocks)) < LEAST_BLOCKS:
            raise InputError(
                f"{len(np.unique(blocks))} blocks ({config.split.blocks}) are too few",
                where=config.data.forecast or config.data.observations,
                remedy=f"give starts of {LEAST_BLOCKS} or more years",
            )
        plan = make_plan(config, sample, threads=run.workers or 1)
        folds = make_folds(sample, blocks, config.split.test)
        with run.stage("guard"):
            guard(sample, blocks, folds[0], plan)
        with run.stage("fit"):
            found = cross_validate(sample, blocks, folds, plan)
            final = found.last if len(folds) == 1 else fit(sample, blocks, plan)
        save(final, run.path(f"model/{name}/ensemble.json").parent)
        verification = as_dataset(sample, blocks, found, config)
        write_netcdf(verification, run.path(f"verification/{name}.nc"), dtype="float64")
        _log_weights(name, found)


def _log_weights(name: str, found: Verification) -> None:
    shares = ", ".join(f"{method} {np.mean(values):.2f}" for method, values in found.weights.items())
    log.info("%s: %d cases, weights %s", name, len(found.rows), shares or "none")


def as_dataset(sample: Sample, blocks: np.ndarray, found: Verification, config: S2sConfig) -> xr.Dataset:
    """Bring out-of-fold forecasts to a dataset (method, start, cell, category)."""
    methods = list(found.probabilities)
    members = np.full((len(found.rows), sample.cells), np.nan)
    if sample.forecast is not None:
        members = (~np.isnan(sample.forecast[found.rows])).sum(axis=1).astype(np.float64)
    ds = xr.Dataset(
        {
            "probability": (
                ("method", "start", "cell", "category"),
                np.stack(list(found.probabilities.values())),
            ),
            "observed": (("start", "cell"), found.codes),
            "members": (("start", "cell"), members),
        },
        coords={
            "method": methods,
            "start": sample.starts[found.rows],
            "category": list(LABELS[config.data.categories]),
            "block": ("start", blocks[found.rows]),
        },
        attrs={"variable": sample.variable, "window": sample.window},
    )
    if found.weights:
        names = list(found.weights)
        ds = ds.assign(weight=(("weighed", "fold"), np.stack([found.weights[n] for n in names])))
        ds = ds.assign_coords(weighed=names)
    if sample.latitude is not None and sample.longitude is not None:
        ds = ds.assign_coords(latitude=("cell", sample.latitude), longitude=("cell", sample.longitude))
    return ds


def delivered_method(config: S2sConfig, run: RunFolder) -> str:
    """Return the ensemble where it was asked for, else the first named method."""
    return "ensemble" if "ensemble" in config.models else config.models[0]


def predict(config: S2sConfig, run: RunFolder) -> None:
    """Write ``forecast.nc``: the delivered method for the test starts, or for new ones.

    New are the newest start of data.live, or all of a data.forecast that is not the one trained with.
    """
    delivered = delivered_method(config, run)
    parts = []
    with run.stage("predict"):
        live = _new_starts(config, run)
        if live is None:
            for path in sorted(run.find("verification").glob("*.nc")):
                with xr.open_dataset(path, engine="netcdf4") as ds:
                    parts.append(_field(ds.load().sel({"method": delivered})["probability"], ds.attrs))
        else:
            for sample in open_samples(config, live=live, newest=config.data.live is not None):
                fitted = load(run.find(f"model/{sample.variable}_{sample.window}"))
                parts.append(_field(_live(sample, fitted.predict(sample), delivered, config), None, sample))
        merged = xr.merge(_joined(parts), join="outer", compat="no_conflicts")
        write_netcdf(merged.assign_attrs(method=delivered), run.path("forecast.nc"))


def _new_starts(config: S2sConfig, run: RunFolder) -> Path | None:
    if config.data.live is not None:
        return config.data.live
    trained = json.loads(run.find("model/trained.json").read_text())["forecast"]
    given = config.data.forecast
    return given if given is not None and str(given) != trained else None


def _live(sample: Sample, found: dict[str, np.ndarray], delivered: str, config: S2sConfig) -> xr.DataArray:
    values = found[delivered]
    if np.isnan(values).all():
        raise InputError(f"no forecast of {sample.variable} could be made", where=config.data.live)
    da = xr.DataArray(
        values,
        dims=("start", "cell", "category"),
        coords={"start": sample.starts, "category": list(LABELS[config.data.categories])},
    )
    if sample.latitude is not None and sample.longitude is not None:
        da = da.assign_coords(latitude=("cell", sample.latitude), longitude=("cell", sample.longitude))
    return da


def _field(da: xr.DataArray, attrs: dict | None, sample: Sample | None = None) -> xr.DataArray:
    """Return (category, start, window, latitude, longitude) of one variable and window."""
    variable = attrs["variable"] if attrs is not None else sample.variable if sample is not None else ""
    window = attrs["window"] if attrs is not None else sample.window if sample is not None else ""
    da = da.drop_vars(["method", "block"], errors="ignore")
    if "latitude" in da.coords:
        da = da.set_index(cell=("latitude", "longitude")).unstack("cell")
    else:
        da = da.isel(cell=0, drop=True)
    order = ("category", "start", "window", "latitude", "longitude")
    da = da.expand_dims(window=[window]).transpose(*(d for d in order if d in {*da.dims, "window"}))
    return da.rename(variable)


def _joined(parts: list[xr.DataArray]) -> list[xr.DataArray]:
    """Join the windows of each variable."""
    names = list(dict.fromkeys(str(part.name) for part in parts))
    return [
        xr.concat(
            [part for part in parts if part.name == name],
            "window",
            coords="minimal",
            compat="override",
            join="outer",
        )
        for name in names
    ]


def evaluate(config: S2sConfig, run: RunFolder) -> None:
    """Score every method on the test cases: writes ``metrics.json``."""
    from esai_s2s.scoring import score

    if config.data.live is not None and not run.has("verification"):
        raise UsageError("there is nothing to score", where="data.live")
    with run.stage("evaluate"):
        run.write_metrics(score(config, run, delivered_method(config, run)))


def report(config: S2sConfig, run: RunFolder) -> None:
    """Draw and tell: writes ``report.html``."""
    from esai_s2s.reporting import write_report

    with run.stage("report"):
        write_report(config, run)
