"""Seeded inputs for the demo: twenty years of a warming field with a seasonal cycle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from esai_core import io
from esai_template.config import TEMPLATE

TREND = 0.05  # K per year


def field(*, seed: int = 0, noise: float = 0.3) -> xr.DataArray:
    """Make a monthly temperature with a known trend.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    noise : float
        Standard deviation of the month-to-month noise, K.

    Returns
    -------
    xarray.DataArray
        ``(time, latitude, longitude)``, K; 240 months from January 1981.
    """
    time = pd.date_range("1981-01-01", periods=240, freq="MS").as_unit("ns")
    latitude, longitude = np.arange(-10.0, 11.0, 5.0), np.arange(20.0, 51.0, 5.0)
    cycle = 8.0 * np.cos(2.0 * np.pi * (time.month.to_numpy() - 7) / 12.0)
    years = (time.year - 1981).to_numpy()
    values = 290.0 + cycle[:, None, None] + TREND * years[:, None, None] - 0.1 * latitude[None, :, None]
    values = values + np.random.default_rng(seed).normal(
        0.0, noise, (time.size, latitude.size, longitude.size)
    )
    return xr.DataArray(
        values,
        coords={"time": time, "latitude": latitude, "longitude": longitude},
        dims=("time", "latitude", "longitude"),
        name="t2m",
        attrs={"units": "K", "standard_name": "air_temperature", "long_name": "2 metre temperature"},
    )


def prepare(folder: Path) -> Path:
    """Write the inputs and a config into `folder`; the path of the config."""
    io.write_netcdf(field().to_dataset(), folder / "reference.nc")
    config = folder / "config.toml"
    config.write_text(TEMPLATE, "utf-8")
    return config
