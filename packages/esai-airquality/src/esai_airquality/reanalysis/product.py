"""The gridded product: the reanalysis of each period, corrected, with its uncertainty."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from esai_airquality.reanalysis.config import GridSection, NetworkSection
from esai_airquality.reanalysis.kriging import great_circle
from esai_airquality.reanalysis.residuals import Fit, predict_residual
from esai_airquality.reanalysis.sample import Sample
from esai_airquality.units import factor
from esai_core.errors import InputError, nearest
from esai_core.io import open_dataset
from esai_core.uncertainty import Interval, with_interval

__all__ = ["corrected_grid", "grid_sample", "station_table"]

Array = NDArray[np.float64]


def grid_sample(
    grid: xr.Dataset, section: GridSection, network: NetworkSection, periods: tuple[str, ...]
) -> Sample:
    """Give the cells of a grid and the periods of a network as cases without observations.

    Parameters
    ----------
    grid : Dataset
        As `eac4.read_grid` gives.
    section : GridSection
        For the file of the predictors.
    network : NetworkSection
        Predictors, months and units.
    periods : tuple of str
        Of the network.

    Raises
    ------
    InputError
        If a predictor is not on the grid, or a period has no time of the reanalysis.
    """
    lat, lon = np.meshgrid(grid["latitude"].values, grid["longitude"].values, indexing="ij")
    month = grid["time"].values.astype("datetime64[M]")
    wanted = np.isin(month.astype(np.int64) % 12 + 1, network.months)
    labels = np.where(wanted, month.astype(str) if network.period == "month" else "all", "")
    scale = factor("ug/m3", network.units, species=network.species)
    field = grid[section.species].transpose("time", "latitude", "longitude").values
    modelled, middle = [], []
    for name in periods:
        rows = labels == name
        if not rows.any():
            raise InputError(
                f"the reanalysis has no time in {name}",
                where=section.model_levels,
                remedy="give the same dates as at the training",
            )
        modelled.append(field[rows].mean(axis=0).ravel() * scale)
        middle.append(float(np.mean(month[rows].astype(np.int64) % 12 + 1)))
    cells = lat.size
    return Sample(
        stations=tuple(str(number) for number in range(cells)),
        latitude=lat.ravel().astype(np.float64),
        longitude=lon.ravel().astype(np.float64),
        periods=periods,
        months=np.array(middle),
        place=np.tile(np.arange(cells), len(periods)),
        period=np.repeat(np.arange(len(periods)), cells),
        observed=np.full(cells * len(periods), np.nan),
        modelled=np.concatenate(modelled),
        has_model=True,
        names=network.predictors,
        predictors=_predictors(grid, section, network, lat.ravel(), lon.ravel()),
    )


def _predictors(
    grid: xr.Dataset, section: GridSection, network: NetworkSection, lat: Array, lon: Array
) -> Array:
    names = [name.removeprefix("log:") for name in network.predictors]
    known: dict[str, Array] = {"latitude": lat, "longitude": lon}
    if section.predictors is not None:
        ds = open_dataset(section.predictors)
        try:
            ds = ds.reindex_like(grid, method="nearest", tolerance=1e-4)
        except (ValueError, KeyError) as error:
            raise InputError("no latitude and longitude", where=section.predictors) from error
        for name in set(names) & {str(n) for n in ds.data_vars}:
            known[name] = ds[name].transpose("latitude", "longitude").values.ravel().astype(np.float64)
            if not np.isfinite(known[name]).any():
                raise InputError(
                    f"{name!r} has no value at the nodes of the reanalysis",
                    where=section.predictors,
                    remedy="regrid it to the grid of the reanalysis",
                )
    for name in names:
        if name not in known:
            raise InputError(
                f"the predictor {name!r} of the stations is not on the grid",
                where=section.predictors or "grid.predictors",
                remedy=nearest(name, known) or "give it in grid.predictors, or leave it out",
            )
    return np.stack([known[name] for name in names], axis=1) if names else np.zeros((lat.size, 0))


def corrected_grid(
    fit: Fit, sample: Sample, grid: xr.Dataset, *, facts: dict[str, Any], species: str, units: str
) -> xr.Dataset:
    """Correct the periods of a grid.

    Parameters
    ----------
    fit : Fit
        Of the network.
    sample : Sample
        As `grid_sample` gives.
    grid : Dataset
        For its coordinates.
    facts : dict
        ``level`` and ``factor`` of the intervals.
    species, units : str
        Names and units of what is written.

    Returns
    -------
    Dataset
        dims (period, latitude, longitude): SPECIES, ``SPECIES_raw``, ``correction``, ``sd`` (of an
        observation about the corrected value; it grows with the distance to the stations), ``SPECIES_lower``,
        ``SPECIES_upper``, ``distance`` (km to the nearest station that has the period).
    """
    residual, variance = predict_residual(fit, sample)
    corrected = np.maximum(sample.modelled + residual, 0.0)
    sd = np.sqrt(variance)
    distance = np.full(len(sample.place), np.nan)
    for number in np.unique(fit.period):
        rows, known = sample.period == number, fit.period == number
        here = sample.place[rows]
        to = great_circle(
            sample.latitude[here], sample.longitude[here], fit.latitude[known], fit.longitude[known]
        )
        distance[rows] = to.min(axis=1)
    half = facts["factor"] * sd
    shape = (len(sample.periods), grid.sizes["latitude"], grid.sizes["longitude"])
    dims = ("period", "latitude", "longitude")
    unit = {"ppb": "1e-9", "ug/m3": "ug m-3"}[units]

    def variable(values: Array, name: str, own: str = unit) -> tuple:
        return dims, values.reshape(shape), {"units": own, "long_name": name}

    made = xr.Dataset(
        {
            species: variable(corrected, f"corrected by {fit.method}"),
            f"{species}_raw": variable(sample.modelled, "of the reanalysis"),
            "correction": variable(corrected - sample.modelled, "corrected less raw"),
            "sd": variable(sd, "standard deviation of an observation about the corrected value"),
            "distance": variable(distance, "distance to the nearest station", "km"),
        },
        {
            "period": ("period", np.array(sample.periods, str)),
            "latitude": grid["latitude"],
            "longitude": grid["longitude"],
        },
    )
    ends = Interval(*(x.reshape(shape) for x in (np.maximum(corrected - half, 0), corrected + half)))
    return with_interval(made, species, ends, coverage=facts["level"], comment="of an observation")


def station_table(table: pd.DataFrame, method: str, factor: float) -> pd.DataFrame:
    """Give the leave-one-station-out product at stations, with intervals."""
    columns = ["station", "latitude", "longitude", "period", "observed", "modelled", "distance"]
    found = table.loc[table["scheme"] == "loso", [name for name in columns if name in table]].copy()
    rows = table.loc[found.index]
    found["corrected"], found["sd"] = rows[method], rows[f"sd_{method}"]
    found["lower"] = np.maximum(found["corrected"] - factor * found["sd"], 0)
    found["upper"] = found["corrected"] + factor * found["sd"]
    return found
