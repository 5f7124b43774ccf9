"""Seeded inputs for the demo: a moving, standing and noisy field under land, with gaps like clouds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_core.synthetic import correlated_fields
from esai_core.tasks.gapfill.blobs import draw_blobs
from esai_core.tasks.gapfill.config import TEMPLATE

__all__ = ["prepare", "toy_field"]


def toy_field(*, seed: int = 0, times: int = 72, shape: tuple[int, int] = (24, 32)) -> xr.DataArray:
    """Make a complete monthly sea surface temperature with a cycle, travelling waves, eddies and land.

    Parameters
    ----------
    seed : int
    times : int
        Months from January 2001.
    shape : (int, int)
        Rows and columns.

    Returns
    -------
    DataArray
        ``(time, latitude, longitude)``, degC, NaN over land.
    """
    rng = np.random.default_rng(seed)
    time = pd.date_range("2001-01-01", periods=times, freq="MS").as_unit("ns")
    latitude, longitude = 10.0 + np.arange(shape[0]), -40.0 + np.arange(shape[1])
    cycle = -3.0 * np.cos(2 * np.pi * (time.month.to_numpy() - 2) / 12.0)[:, None, None]
    phase = 2 * np.pi * (np.arange(times)[:, None, None] / 9.0 - longitude / 20.0)
    travelling = 0.7 * np.cos(phase) * np.exp(-(((latitude - 22.0) / 6.0) ** 2))[:, None]
    local = correlated_fields(rng, times, shape, length=5.0)
    for month in range(1, times):
        local[month] = 0.7 * local[month - 1] + np.sqrt(1 - 0.49) * local[month]
    values = 26.0 - 0.3 * (latitude - 10.0)[:, None] + cycle + travelling + 0.6 * local
    values = values + 0.05 * rng.standard_normal(values.shape)
    land = correlated_fields(rng, 1, shape, length=8.0)[0] > 1.0
    return xr.DataArray(
        np.where(land, np.nan, values).astype("float32"),
        coords={"time": time, "latitude": latitude, "longitude": longitude},
        dims=("time", "latitude", "longitude"),
        name="sst",
        attrs={
            "units": "degC",
            "long_name": "sea surface temperature",
            "standard_name": "sea_surface_temperature",
        },
    )


def prepare(folder: Path) -> Path:
    """Write a field with clouds over a fifth of it, and a config, into `folder`; the path of the config."""
    field = toy_field()
    clouds = draw_blobs(np.random.default_rng(1), field.notnull().values, share=0.2, length=5.0)
    io.write_netcdf(field.where(~clouds).to_dataset(), folder / "field.nc")
    config = folder / "config.toml"
    small = TEMPLATE.replace("width = 16", "width = 8").replace("draws = 3", "draws = 2")
    config.write_text(small.replace("epochs = 30", "epochs = 10"), "utf-8")
    return config
