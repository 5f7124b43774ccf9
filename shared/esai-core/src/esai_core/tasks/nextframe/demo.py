"""Seeded inputs for the demo: anomalies that a wind carries over a grid, fed by noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy import ndimage

from esai_core import io
from esai_core.synthetic import correlated_fields
from esai_core.tasks.nextframe.config import TEMPLATE

__all__ = ["prepare", "toy_series"]


def toy_series(
    *,
    seed: int = 0,
    times: int = 360,
    shape: tuple[int, int] = (16, 24),
    wind: float = 1.5,
    memory: float = 0.97,
) -> xr.DataArray:
    """Make an hourly temperature whose anomalies drift eastward by a known wind.

    Parameters
    ----------
    seed : int
    times : int
        Hours.
    shape : (int, int)
        Rows and columns.
    wind : float
        Columns that anomalies drift by per hour.
    memory : float
        Share of an anomaly that is left after an hour.

    Returns
    -------
    DataArray
        ``(time, latitude, longitude)``, K.
    """
    rng = np.random.default_rng(seed)
    time = pd.date_range("2019-03-01", periods=times, freq="h").as_unit("ns")
    wide = (shape[0], shape[1] + 8)
    fresh = correlated_fields(rng, times, wide, length=5.0)
    state, states = fresh[0], []
    for noise in fresh:
        state = (
            memory * ndimage.shift(state, (0, wind), order=3, mode="grid-wrap")
            + np.sqrt(1 - memory**2) * noise
        )
        states.append(state[:, : shape[1]])
    cycle = 2.0 * np.cos(2 * np.pi * (time.hour.to_numpy() - 15) / 24.0)
    values = 283.0 + cycle[:, None, None] + 1.5 * np.stack(states)
    return xr.DataArray(
        values.astype("float32"),
        coords={
            "time": time,
            "latitude": 50.0 + 0.5 * np.arange(shape[0]),
            "longitude": -8.0 + 0.5 * np.arange(shape[1]),
        },
        dims=("time", "latitude", "longitude"),
        name="t2m",
        attrs={"units": "K", "long_name": "2 metre temperature", "standard_name": "air_temperature"},
    )


def prepare(folder: Path) -> Path:
    """Write the series and a config into `folder`; the path of the config."""
    io.write_netcdf(toy_series().to_dataset(), folder / "field.nc")
    config = folder / "config.toml"
    config.write_text(
        TEMPLATE.replace("width = 16", "width = 8").replace("epochs = 30", "epochs = 10"), "utf-8"
    )
    return config
