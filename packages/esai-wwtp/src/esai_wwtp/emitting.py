"""The verb ``proxy``: plants, their methane, the grid, the exports and a report."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esai_core.errors import InputError, UsageError
from esai_wwtp.capacity import CapacityModel
from esai_wwtp.config import ProxyConfig, WwtpConfig
from esai_wwtp.emissions import discharge_methane, factor_interval, methane
from esai_wwtp.exports import write_cams_reg, write_hermes
from esai_wwtp.proxy import CellGrid, Proxy, distribute
from esai_wwtp.treatment import LEVELS
from esai_wwtp.uwwtd import read_uwwtd

if TYPE_CHECKING:
    import pandas as pd

    from esai_core.runs import RunFolder

__all__ = ["plant_emissions", "proxy", "read_plants"]

log = logging.getLogger(__name__)

LOAD_FEATURES = ("capacity", "level_rank", "latitude", "longitude")
LOAD_BLOCK_KM = 50.0


def read_plants(config: ProxyConfig) -> tuple[pd.DataFrame, dict[str, int]]:
    """Read the plants of a proxy: the table of the UWWTD, or the plants of a run.

    Returns
    -------
    plants : DataFrame
        ``code, name, country, latitude, longitude, load, level`` and, from a run, ``load_low, load_high``.
    found : dict
        What the cleaning met, by count.

    Raises
    ------
    InputError
        If the file is missing, of another kind, or lacks columns.
    """
    path = config.plants
    if path.suffix.lower() == ".csv":
        cleaned = read_uwwtd(path)
        plants, found = cleaned.plants, cleaned.found
        if config.active_only:
            plants = plants[plants["active"]].reset_index(drop=True)
        return plants, found
    from esai_wwtp.vectors import read_vectors

    shapes = read_vectors(path)
    if "load" not in shapes:
        raise InputError(
            "plants without a load",
            where=path,
            remedy="give the plants of a run with [capacity], or add a column load (population equivalents)",
        )
    places = shapes.geometry.to_crs(shapes.estimate_utm_crs()).centroid.to_crs(4326)
    plants = shapes.drop(columns=shapes.geometry.name).assign(latitude=places.y, longitude=places.x)
    for name, value in (("level", "secondary"), ("country", config.country), ("name", ""), ("code", "")):
        if name not in plants:
            plants[name] = value
    if plants["country"].isna().any():
        raise InputError("plants without a country", where=path, remedy="set proxy.country")
    return plants, {"rows": len(plants)}


def estimate_loads(plants: pd.DataFrame) -> tuple[pd.DataFrame, CapacityModel]:
    """Estimate the missing loads of active plants whose capacity is known.

    Parameters
    ----------
    plants : DataFrame
        Of `esai_wwtp.uwwtd.read_uwwtd`.

    Returns
    -------
    plants : DataFrame
        With ``load_low, load_high``: equal to the load where that was reported.
    model : CapacityModel
        Fitted on the reported loads above 0.
    """
    rows = plants.assign(level_rank=plants["level"].map(LEVELS.index).astype(float))
    place = {name: rows[name].to_numpy(float) for name in ("latitude", "longitude")}
    model = CapacityModel.fit(rows, **place, features=LOAD_FEATURES, block_km=LOAD_BLOCK_KM)
    missing = (rows["load"].isna() & rows["capacity"].notna() & rows["active"]).to_numpy()
    told = plants.assign(load_low=plants["load"], load_high=plants["load"])
    if missing.any():
        columns = ["load", "load_low", "load_high"]
        told.loc[missing, columns] = model.predict(rows[missing])[columns]
    return told, model


def plant_emissions(plants: pd.DataFrame, config: ProxyConfig) -> pd.DataFrame:
    """Add the methane of each plant with its interval.

    Parameters
    ----------
    plants : DataFrame
        As `read_plants` gives it.
    config : ProxyConfig
        Its table ``[proxy.emission]``.

    Returns
    -------
    DataFrame
        With ``ch4, ch4_low, ch4_high`` in kg per year; NaN where the load is not known.
    """
    settings, load = config.emission, plants["load"].to_numpy(float)
    ch4 = methane(load, pathway=settings.pathway, bod=settings.bod) * (1.0 - settings.recovered)
    interval = None
    if {"load_low", "load_high"} <= set(plants.columns):
        interval = (plants["load_low"].to_numpy(float), plants["load_high"].to_numpy(float))
    low, high = factor_interval(ch4, pathway=settings.pathway, load=load, load_interval=interval)
    if settings.discharge != "none":
        effluent = np.zeros(len(plants))
        for level in plants["level"].unique():
            own = (plants["level"] == level).to_numpy()
            effluent[own] = discharge_methane(
                load[own], level=str(level), water=settings.discharge, bod=settings.bod
            )
        ch4, low, high = ch4 + effluent, low + effluent, high + effluent
    return plants.assign(ch4=ch4, ch4_low=low, ch4_high=high)


def _given_totals(config: ProxyConfig) -> dict[str, float]:
    """Give the national totals of the config in kg CH4 per year."""
    totals = {}
    for country, one in config.totals.items():
        if one.ch4_kt is not None:
            totals[country] = one.ch4_kt * 1e6
        elif one.pe is not None:
            made = methane(one.pe, pathway=config.emission.pathway, bod=config.emission.bod)
            totals[country] = float(made) * (1.0 - config.emission.recovered)
    return totals


def make_grid(config: ProxyConfig) -> CellGrid:
    """Make the grid of a config."""
    grid = config.grid
    return CellGrid.regular(
        west=grid.west, east=grid.east, south=grid.south, north=grid.north, spacing=grid.spacing
    )


def read_population(path: Path, grid: CellGrid) -> np.ndarray:
    """Sum a population (counts) on the cells of the grid; each count falls in one cell."""
    from esai_core import io

    data = io.open_dataset(path)
    names = [name for name in data.data_vars if data[name].ndim == 2]
    if len(names) != 1:
        raise InputError(
            f"{len(names)} fields of latitude and longitude", where=path, remedy="give one, the population"
        )
    field = data[names[0]].transpose("latitude", "longitude").load()
    values = np.nan_to_num(field.values.astype(float))
    if (values < 0).any():
        raise InputError("a negative population", where=path)
    lat, lon = np.meshgrid(field["latitude"].values, field["longitude"].values, indexing="ij")
    rows, columns = grid.locate(lat.ravel(), lon.ravel())
    total, inside = np.zeros(grid.shape), rows >= 0
    np.add.at(total, (rows[inside], columns[inside]), values.ravel()[inside])
    return total


def build(
    config: ProxyConfig,
) -> tuple[Proxy, dict[str, int], np.ndarray | None, CapacityModel | None]:
    """Give the proxy, what the cleaning found, the population and the model of loads, where there are any."""
    plants, found = read_plants(config)
    model = None
    if config.estimate_loads:
        if "capacity" not in plants:
            raise UsageError(
                "plants without a capacity", where="proxy.estimate_loads", remedy="give a table of the UWWTD"
            )
        before = int(plants["load"].notna().sum())
        plants, model = estimate_loads(plants)
        found = found | {"load_estimated": int(plants["load"].notna().sum()) - before}
    grid = make_grid(config)
    population = None if config.population is None else read_population(config.population, grid)

    def fallback(country: str) -> np.ndarray:
        declared = config.fallback.get(country)
        if declared is None:
            raise InputError(
                f"no plant of {country} on the grid",
                where=f"proxy.totals.{country}",
                remedy=f"declare [proxy.fallback.{country}] with its bounds, or leave the country out",
            )
        inside = grid.box(*declared.bounds)
        if declared.by == "population":
            if population is None:
                raise UsageError(
                    'by = "population" needs proxy.population', where=f"proxy.fallback.{country}"
                )
            return inside * population
        return inside * grid.area

    made = distribute(
        plant_emissions(plants, config),
        grid,
        totals=_given_totals(config),
        off_grid=config.off_grid,
        fallback=fallback,
    )
    return made, found, population, model


def proxy(config: WwtpConfig, run: RunFolder) -> None:
    """Write ``proxy.nc``, the plants, the exports, ``metrics.json`` and ``report.html``."""
    from esai_core import io
    from esai_wwtp.proxy_report import write_report

    if config.proxy is None:
        raise UsageError("the config has no table [proxy]", remedy="esai-wwtp init shows one")
    with run.stage("distribute"):
        made, found, population, model = build(config.proxy)
    scores = proxy_scores(made, population)
    if model is not None:
        scores["loads"] = model.scores | {"coverage": model.intervals["coverage"]}
    with run.stage("write"):
        provenance = {
            "title": "Methane of wastewater treatment plants as a spatial proxy",
            "references": "IPCC 2019 Refinement, Volume 5, Chapter 6",
            "gnfr_sector": "J_Waste",
            "nfr": "5D1",
            "ipcc2006": "4D1",
        }
        io.write_netcdf(made.dataset(), run.path("proxy.nc"), provenance=provenance, dtype="float64")
        made.plants.to_csv(run.path("plants.csv"), index=False)
        write_cams_reg(made, run.path("cams_reg_points.csv"), year=config.proxy.year)
        write_hermes(made, run.path("hermes/wwtp_points.csv").parent, year=config.proxy.year)
        run.varies("hermes/*.dbf")  # holds the day of writing
    run.write_metrics(
        {
            "split": {},
            "delivered": "plants",
            "scores": scores,
            "by_country": {
                name: {"plants": {"ch4_kt": made.totals[name] / 1e6, **made.counts[name]}}
                for name in made.countries
            },
            "cleaning": found,
        }
    )
    with run.stage("report"):
        write_report(made, scores, found, population, model, run)


def proxy_scores(made: Proxy, population: np.ndarray | None) -> dict[str, dict[str, Any]]:
    """Give how well the weights conserve, and how a population proxy would differ.

    ``overlap`` is the share of the methane that both proxies put into the same cells,
    ``sum(min(w_plants, w_population))``, over all countries by their totals.
    """
    sums = [math.fsum(field.ravel()) for field in made.weight]
    total = math.fsum(made.totals.values())
    error = abs(math.fsum(made.ch4.ravel()) - total)
    plants = {
        "ch4_kt": total / 1e6,
        "weight_sum_error": max((abs(one - 1.0) for one in sums if one), default=0.0),
        "total_error": error / total if total else 0.0,
        "plants": len(made.plants),
    }
    scores: dict[str, dict[str, Any]] = {"plants": plants}
    if population is not None and total:
        overlap = 0.0
        for number, country in enumerate(made.countries):
            inside = _hull(made.weight[number]) * population
            if inside.sum() > 0:
                shared = np.minimum(made.weight[number], inside / inside.sum()).sum()
                overlap += made.totals[country] / total * float(shared)
        scores["population"] = {"overlap": overlap}
    return scores


def _hull(weight: np.ndarray) -> np.ndarray:
    """Mark the rows and columns that a country's plants span."""
    inside = np.zeros(weight.shape)
    rows, columns = np.nonzero(weight)
    if len(rows):
        inside[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = 1.0
    return inside
