"""Seeded inputs for the demo, labelled synthetic: cells whose fires follow known indices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io

__all__ = ["CONFIG", "prepare", "synthetic_burned_area", "synthetic_indices"]

CONFIG = """\
schema_version = 1
task = "burned_area"

[data]
burned_area = "burned_area.nc"
indices = "indices.csv"

[target]
lead_months = 4

[predictors]
indices = ["nino34", "pdo", "tna", "tsa"]
lags = [4, 9]
smooth = 1

[model]
stability = 20
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


def prepare(folder: Path) -> Path:
    """Write the inputs and a config into `folder`; the path of the config."""
    table = synthetic_indices(("nino34", "pdo", "tna", "tsa"), first=1979, last=2006, seed=1)
    burned = synthetic_burned_area(table, first=1981, last=2006, seed=1)
    io.write_netcdf(burned.to_dataset(), folder / "burned_area.nc")
    table.to_csv(folder / "indices.csv")
    config = folder / "config.toml"
    config.write_text(CONFIG, "utf-8")
    return config
