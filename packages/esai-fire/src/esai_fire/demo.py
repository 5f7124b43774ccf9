"""Seeded inputs for the demo, labelled synthetic: cells whose fires follow known indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.grid import Grid

__all__ = [
    "CONFIG", "prepare", "synthetic_burned_area", "synthetic_gfas", "synthetic_indices",
    "synthetic_land_cover",
]  # fmt: skip

CONFIG = """\
schema_version = 1
task = "burned_area"

[data]
burned_area = "burned_area.nc"
indices = "indices.csv"
land_cover = "land_cover.nc"
gfas = "gfas.nc"

[target]
lead_months = 4

[predictors]
indices = ["nino34", "pdo", "tna", "tsa"]
lags = [4, 9]
smooth = 1

[model]
stability = 20

[emissions]
species = ["CO2", "CO"]
"""


def synthetic_indices(
    names: tuple[str, ...], *, first: int, last: int, seed: int = 0, memory: float = 0.85
) -> pd.DataFrame:
    """Make monthly red-noise series of unit variance.

    Parameters
    ----------
    names : tuple of str
        Columns.
    first, last : int
        Years, both whole.
    seed : int
    memory : float
        Correlation from one month to the next.

    Returns
    -------
    DataFrame
        Indexed by the month's first day.
    """
    random = np.random.default_rng(seed)
    months = pd.date_range(f"{first}-01-01", f"{last}-12-01", freq="MS", name="time")
    values = random.normal(size=(months.size, len(names)))
    for t in range(1, months.size):
        values[t] = memory * values[t - 1] + np.sqrt(1.0 - memory**2) * values[t]
    return pd.DataFrame(values, index=months, columns=list(names))


def synthetic_burned_area(
    table: pd.DataFrame, *, first: int, last: int, shape: tuple[int, int] = (5, 6),
    drivers: dict[tuple[str, int], float] | None = None, dispersion: float = 0.3, seed: int = 0,
) -> xr.DataArray:  # fmt: skip
    """Make monthly burned area with a fire season around August that follows indices at known lags.

    Parameters
    ----------
    table : DataFrame
        Index series.
    first, last : int
        Years.
    shape : (rows, columns)
        Cells of 1 degree.
    drivers : dict of (index, lag) to float
        Coefficients: log of the year's burned area per unit of the index that many months before August.
        By default nino34 at 6 months, 0.7. Empty for pure noise.
    dispersion : float
        Variance of the gamma noise around the expectation, as a share of its square.
    seed : int

    Returns
    -------
    DataArray
        ``(time, latitude, longitude)``, m2.
    """
    drivers = {("nino34", 6): 0.7} if drivers is None else drivers
    random = np.random.default_rng(seed)
    months = pd.date_range(f"{first}-01-01", f"{last}-12-01", freq="MS")
    season = np.array([0, 0, 0, 0.02, 0.05, 0.15, 0.25, 0.3, 0.15, 0.08, 0, 0])
    yearly = np.empty((last - first + 1, *shape))
    for k, year in enumerate(range(first, last + 1)):
        august = pd.Timestamp(year, 8, 1)
        signal = sum(
            beta * table[name].loc[august - pd.DateOffset(months=lag)]
            for (name, lag), beta in drivers.items()
        )
        noise = random.gamma(1.0 / dispersion, dispersion, size=shape)
        yearly[k] = 5.0e7 * np.exp(signal) * noise
    size = random.uniform(0.5, 2.0, size=shape)
    values = yearly[:, None] * season[None, :, None, None] * size
    return xr.DataArray(
        values.reshape(months.size, *shape),
        coords={
            "time": months.as_unit("ns"),
            "latitude": 35.5 + np.arange(shape[0]),
            "longitude": -120.5 + np.arange(shape[1]),
        },
        dims=("time", "latitude", "longitude"),
        name="burned_area",
        attrs={"units": "m2", "comment": "synthetic: no observation"},
    )


def synthetic_land_cover(burned: xr.DataArray, *, seed: int = 0) -> xr.Dataset:
    """Make land cover on the cells of some burned area: two classes, and tree cover year by year.

    Parameters
    ----------
    burned : DataArray
        ``(time, latitude, longitude)``.
    seed : int

    Returns
    -------
    Dataset
        ``land_cover (latitude, longitude)`` 1 and 2 from west to east; ``tree_cover (time, latitude,
        longitude)``, a share that changes slowly, from two years before the burned area on.
    """
    random = np.random.default_rng(seed)
    rows, columns = burned.shape[1:]
    years = np.arange(int(burned.time.dt.year[0]) - 2, int(burned.time.dt.year[-1]) + 1)
    change = np.cumsum(random.normal(0.0, 0.01, size=(years.size, rows, columns)), axis=0)
    cover = np.clip(random.uniform(0.2, 0.6, size=(rows, columns)) + change, 0.0, 1.0)
    classes = np.broadcast_to(np.where(np.arange(columns) < columns // 2, 1, 2), (rows, columns))
    grid = ("latitude", "longitude")
    return xr.Dataset(
        {
            "land_cover": (grid, classes, {"flag_values": [1, 2], "flag_meanings": "grassland forest"}),
            "tree_cover": (("time", *grid), cover, {"units": "1"}),
        },
        coords={
            "time": pd.to_datetime([f"{year}-01-01" for year in years]).as_unit("ns"),
            "latitude": burned.latitude, "longitude": burned.longitude,
        },
        attrs={"comment": "synthetic: no observation"},
    )  # fmt: skip


def synthetic_gfas(
    burned: xr.DataArray, classes: np.ndarray, *, species: dict[str, tuple[float, ...]] | None = None,
    slope: float = 0.9, noise: float = 0.2, seed: int = 0,
) -> xr.Dataset:  # fmt: skip
    """Make daily fields in the layout of GFAS whose monthly totals follow burned area.

    Parameters
    ----------
    burned : DataArray
        ``(time, latitude, longitude)``, m2 per month.
    classes : (latitude, longitude) array
        Land cover 1, 2, ...
    species : dict of str to tuple of float
        Variable to kg per m2 to the power `slope`, of each class.
    slope : float
        Exponent of burned area.
    noise : float
        Standard deviation of the logarithm, shared by the species of a cell and month.
    seed : int

    Returns
    -------
    Dataset
        ``(time, latitude, longitude)`` in kg m-2 s-1, cells of half the size, latitude from the north.
    """
    species = species or {"co2fire": (9.0, 20.0), "cofire": (0.4, 1.4)}
    random = np.random.default_rng(seed)
    error = np.exp(random.normal(0.0, noise, size=burned.shape))
    half = 0.25 * float(burned.latitude[1] - burned.latitude[0])
    latitude = np.sort(np.concatenate([burned.latitude - half, burned.latitude + half]))
    longitude = np.sort(np.concatenate([burned.longitude - half, burned.longitude + half]))
    area = Grid(latitude, longitude).cell_area.values
    days = pd.date_range(
        burned.time.values[0], burned.time.values[-1] + np.timedelta64(31, "D"), inclusive="left", name="time"
    )
    days = days[days.to_period("M") <= pd.Timestamp(burned.time.values[-1]).to_period("M")]
    month = (days.year - days.year[0]) * 12 + days.month - days.month[0]
    made = {}
    for name, scales in species.items():
        monthly = np.asarray(scales)[classes - 1] * burned.values**slope * error
        fine = monthly.repeat(2, axis=1).repeat(2, axis=2)
        blocks = area.reshape(burned.shape[1], 2, burned.shape[2], 2).sum(axis=(1, 3))
        flux = fine / blocks.repeat(2, axis=0).repeat(2, axis=1)
        seconds = np.asarray(days.days_in_month, dtype=np.float64) * 86400.0
        values = flux[month] / seconds[:, None, None]
        made[name] = (("time", "latitude", "longitude"), values, {"units": "kg m**-2 s**-1"})
    coords = {"time": days.as_unit("ns"), "latitude": latitude, "longitude": longitude}
    return xr.Dataset(made, coords=coords, attrs={"comment": "synthetic: no observation"}).isel(
        latitude=slice(None, None, -1)
    )


def prepare(folder: Path) -> Path:
    """Write the inputs and a config into `folder`; the path of the config."""
    table = synthetic_indices(("nino34", "pdo", "tna", "tsa"), first=1979, last=2006, seed=1)
    burned = synthetic_burned_area(table, first=1981, last=2006, seed=1)
    cover = synthetic_land_cover(burned, seed=1)
    gfas = synthetic_gfas(burned, cover["land_cover"].values, seed=1)
    io.write_netcdf(burned.to_dataset(), folder / "burned_area.nc")
    io.write_netcdf(cover, folder / "land_cover.nc")
    io.write_netcdf(gfas, folder / "gfas.nc")
    table.to_csv(folder / "indices.csv")
    config = folder / "config.toml"
    config.write_text(CONFIG, "utf-8")
    return config
