"""The steps of the job reanalysis, in terms of its run folder: train, predict, evaluate, report."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from esai_airquality.reanalysis.config import NetworkSection, ReanalysisConfig
from esai_airquality.reanalysis.drivers import explain
from esai_airquality.reanalysis.eac4 import read_grid
from esai_airquality.reanalysis.network import read_network
from esai_airquality.reanalysis.product import corrected_grid, grid_sample, station_table
from esai_airquality.reanalysis.residuals import fit_residual
from esai_airquality.reanalysis.sample import Sample, spread_within_cells
from esai_airquality.reanalysis.scoring import score_network
from esai_airquality.reanalysis.store import load_fit, save_fit
from esai_airquality.reanalysis.validation import cross_validate, interval_factors, methods_for, rmse
from esai_core.io import read_table, write_netcdf, write_table
from esai_core.runs import RunFolder

__all__ = ["evaluate", "predict", "report", "train"]

log = logging.getLogger(__name__)
CELL_DEGREES = 0.75


def train(config: ReanalysisConfig, run: RunFolder) -> None:
    """Judge all methods between stations and fit the best: ``validation/NAME.csv``, ``model/NAME.npz``."""
    with run.stage("open"):
        grid = read_grid(config.grid) if config.grid is not None else None
        samples = {network.name: read_network(network, grid) for network in config.networks}
    with run.stage("fit"):
        for network in config.networks:
            _train(config, network, samples[network.name], run)


def _train(config: ReanalysisConfig, network: NetworkSection, sample: Sample, run: RunFolder) -> None:
    """Cross-validate one network, choose the method of the lowest error, and fit it to all."""
    table = cross_validate(sample, config.model, seed=run.seed)
    loso = table[table["scheme"] == "loso"]
    names = methods_for(sample, config.model)
    method = min(names, key=lambda name: rmse(loso, name))
    if loso[f"sd_{method}"].isna().any():
        again = cross_validate(sample, config.model, seed=run.seed, methods=[method])
        table[f"sd_{method}"] = again[f"sd_{method}"]
        loso = table[table["scheme"] == "loso"]
    factor, _ = interval_factors(loso, method, config.model.level)
    write_table(table.dropna(axis=1, how="all"), run.path(f"validation/{network.name}.csv"))
    options = {"power": config.model.idw_power, "trees": config.model.trees, "seed": run.seed}
    fit = fit_residual(sample, method, variance=True, **options)
    spread, cells = spread_within_cells(sample, size=CELL_DEGREES)
    facts: dict[str, Any] = {
        "periods": sample.periods,
        "level": config.model.level,
        "factor": factor,
        "has_model": sample.has_model,
        "stations": len(np.unique(sample.place)),
        "spread_within_cells": spread,
        "cells_with_several": cells,
    }
    save_fit(fit, run.path(f"model/{network.name}.npz"), facts=facts)
    told = explain(sample, method, config=config.model, units=network.units, seed=run.seed)
    if told is not None:
        told.save(run.path(f"model/{network.name}_drivers.json"))
    log.info("%s: %s of %d stations", network.name, method, facts["stations"])
    if method == "raw":
        log.warning(
            "%s: no method beats the raw reanalysis between stations; it is delivered as it is", network.name
        )


def predict(config: ReanalysisConfig, run: RunFolder) -> None:
    """Write ``surface.nc`` and ``corrected.nc`` of the grid, and ``stations_NETWORK.csv`` of each network."""
    with run.stage("predict"):
        grid = read_grid(config.grid) if config.grid is not None else None
        if config.grid is not None and grid is not None:
            provenance = {"title": f"{config.grid.species} at the surface, from mass mixing ratios"}
            write_netcdf(_plain(grid), run.path("surface.nc"), provenance=provenance)
        for network in config.networks:
            fit, facts = load_fit(run.find(f"model/{network.name}.npz"))
            table = _validation(network, run)
            stations = station_table(table, fit.method, facts["factor"])
            write_table(stations, run.path(f"stations_{network.name}.csv"))
            if config.grid is not None and grid is not None and network.modelled == "grid":
                sample = grid_sample(grid, config.grid, network, tuple(facts["periods"]))
                names = {"species": network.species, "units": network.units}
                product = corrected_grid(fit, sample, grid, facts=facts, **names)
                provenance = {"title": f"{network.species} corrected with stations", "method": fit.method}
                write_netcdf(product, run.path("corrected.nc"), provenance=provenance)


def _validation(network: NetworkSection, run: RunFolder) -> pd.DataFrame:
    path = run.find(f"validation/{network.name}.csv")
    return read_table(path, dtype={"period": str, "station": str})


def _plain(grid: xr.Dataset) -> xr.Dataset:
    """Name what the concentration was made of as CF does."""
    units = {"ratio": "kg kg-1", "t": "K", "q": "kg kg-1", "sp": "Pa"}
    names = {
        "ratio": "mass mixing ratio",
        "t": "temperature",
        "q": "specific humidity",
        "sp": "surface pressure",
    }
    ds = grid.copy()
    for name, unit in units.items():
        ds[name].attrs = {"units": unit, "long_name": names[name]}
    return ds


def evaluate(config: ReanalysisConfig, run: RunFolder) -> None:
    """Score all methods between stations and between blocks: writes ``metrics.json``."""
    with run.stage("evaluate"):
        found: dict[str, dict] = {}
        for network in config.networks:
            table = _validation(network, run)
            fit, facts = load_fit(run.find(f"model/{network.name}.npz"))
            found[network.name] = score_network(table, network, fit, facts, config.model)
        metrics: dict[str, Any] = {
            "split": {
                "test": "every station, by fits without it (loso); blocks, by fits without them",
                "block_km": config.model.block_km,
            },
            "delivered": "raw",
            "scores": {"raw": {}},
        }
        if config.grid is not None:
            metrics["first_cell"] = _first_cell(read_grid(config.grid), config.grid.species)
        if found:
            first = found.get(_first(config), {})
            metrics["delivered"] = first["delivered"]
            metrics["scores"] = first["loso"]
            metrics["by_network"] = {name: scores["loso"] for name, scores in found.items()}
            metrics["by_network_blocks"] = {name: scores["blocks"] for name, scores in found.items()}
            metrics["networks"] = {
                name: {key: value for key, value in scores.items() if key not in ("loso", "blocks")}
                for name, scores in found.items()
            }
        run.write_metrics(metrics)


def _first(config: ReanalysisConfig) -> str:
    """Name the network that the grid is corrected with, else the first."""
    paired = [network.name for network in config.networks if network.modelled == "grid"]
    return (paired or [network.name for network in config.networks])[0]


def _first_cell(grid: xr.Dataset, species: str) -> dict[str, Any]:
    """Show how the north-western cell at the first time was made, to be followed by hand."""
    cell = grid.isel(time=0, latitude=-1, longitude=0)
    return {
        "time": str(cell["time"].values)[:16],
        "latitude": float(cell["latitude"]),
        "longitude": float(cell["longitude"]),
        "mixing_ratio": float(cell["ratio"]),
        "temperature": float(cell["t"]),
        "humidity": float(cell["q"]),
        "pressure": float(cell["sp"]),
        f"{species}_ugm3": float(cell[species]),
    }


def report(config: ReanalysisConfig, run: RunFolder) -> None:
    """Draw and tell: writes ``report.html``."""
    from esai_airquality.reanalysis.reporting import write_report

    with run.stage("report"):
        tables = {network.name: _validation(network, run) for network in config.networks}
        write_report(config, run, tables)
