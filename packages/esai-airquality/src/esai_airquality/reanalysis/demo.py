"""The embedded example: a seeded reanalysis with a known bias, and a network that sees the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from esai_airquality.reanalysis.eac4 import air_density
from esai_core.io import write_netcdf, write_table

__all__ = ["CONFIG", "prepare"]

CONFIG = """\
# Made-up ozone of a reanalysis that is too low in the mountains and drifts across the map, and 60 stations.
schema_version = 1

[grid]
model_levels = "levels.nc"
surface = "surface.nc"
species = "o3"
predictors = "predictors.nc"

[[networks]]
name = "stations"
observations = "observations.parquet"
stations = "stations.csv"
species = "o3"
units = "ug/m3"
keep = { area_classification = ["rural"] }
predictors = ["altitude"]

[model]
trees = 50
block_km = 300.0
"""
DAYS = 59
STATIONS = 60


def _smooth(rng: np.random.Generator, lat: NDArray, lon: NDArray, *, waves: int, length: float) -> NDArray:
    """Make a smooth field of mean 0 and variance about 1 at some points (random Fourier features)."""
    k = rng.normal(0, 1 / length, (2, waves))
    phase = rng.uniform(0, 2 * np.pi, waves)
    return np.sqrt(2 / waves) * np.cos(lat[..., None] * k[0] + lon[..., None] * k[1] + phase).sum(axis=-1)


def prepare(folder: Path) -> Path:
    """Write the reanalysis, its predictors, the network and a config.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Returns
    -------
    Path
        The config.
    """
    rng = np.random.default_rng(7)
    lat, lon = np.arange(44.25, 35.9, -0.75), np.arange(-9.75, 4.6, 0.75)
    time = pd.date_range("2018-06-01", periods=8 * DAYS, freq="3h").as_unit("ns")
    seeds = {name: int(rng.integers(1 << 30)) for name in ("altitude", "ozone", "bias")}

    def field(name: str, y: NDArray, x: NDArray, length: float) -> NDArray:
        return _smooth(np.random.default_rng(seeds[name]), y, x, waves=80, length=length)

    def altitude(y: NDArray, x: NDArray) -> NDArray:
        return 600.0 * np.maximum(field("altitude", y, x, 1.2) + 0.6, 0.0)

    def truth(y: NDArray, x: NDArray, hour: NDArray) -> NDArray:
        cycle = np.cos(2 * np.pi * (hour - 15) / 24)
        return 85.0 + 12.0 * field("ozone", y, x, 3.0) + 0.012 * altitude(y, x) + 18.0 * cycle

    def bias(y: NDArray, x: NDArray) -> NDArray:
        return 6.0 - 0.016 * altitude(y, x) + 7.0 * field("bias", y, x, 1.8)

    y, x = np.meshgrid(lat, lon, indexing="ij")
    hours = (time.hour.to_numpy())[:, None, None]
    ozone = truth(y, x, hours) + bias(y, x) + rng.normal(0, 4, (len(time), *y.shape))
    humidity = np.full(ozone.shape, 0.009)
    temperature = 293.0 - 0.0065 * altitude(y, x) + 5.0 * np.cos(2 * np.pi * (hours - 15) / 24)
    temperature = temperature + np.zeros(ozone.shape)
    pressure = 101_325.0 * np.exp(-altitude(y, x) / 8400.0) + np.zeros(ozone.shape)
    ratio = np.maximum(ozone, 5.0) * 1e-9 / air_density(temperature, humidity, pressure)
    coords = {"time": time, "latitude": lat, "longitude": lon}
    dims = ("time", "latitude", "longitude")
    levels = {"go3": (ratio, "kg kg**-1"), "t": (temperature, "K"), "q": (humidity, "kg kg**-1")}
    ds = xr.Dataset({n: (dims, v.astype(np.float32), {"units": u}) for n, (v, u) in levels.items()}, coords)
    write_netcdf(ds, folder / "levels.nc")
    surface = {"sp": (dims, pressure.astype(np.float32), {"units": "Pa"})}
    write_netcdf(xr.Dataset(surface, coords), folder / "surface.nc")
    heights = {"altitude": (dims[1:], altitude(y, x), {"units": "m"})}
    write_netcdf(xr.Dataset(heights, {"latitude": lat, "longitude": lon}), folder / "predictors.nc")

    here_lat, here_lon = rng.uniform(36.5, 43.8, STATIONS), rng.uniform(-9.3, 3.8, STATIONS)
    hourly = pd.date_range(time[0], periods=24 * DAYS, freq="h").as_unit("ns")
    seen = truth(here_lat, here_lon, hourly.hour.to_numpy()[:, None])
    urban = np.arange(STATIONS) % 10 == 9
    seen = np.maximum(seen - 25.0 * urban + rng.normal(0, 8, seen.shape) + rng.normal(0, 2, STATIONS), 0.0)
    seen[rng.random(seen.shape) < 0.05] = np.nan
    names = [f"ES{number:03d}" for number in range(STATIONS)]
    table = pd.DataFrame(seen, index=hourly, columns=names).rename_axis("time").reset_index()
    write_table(table.melt("time", var_name="station", value_name="o3"), folder / "observations.parquet")
    described = pd.DataFrame({"station": names, "latitude": here_lat, "longitude": here_lon})
    described["altitude"] = altitude(here_lat, here_lon)
    described["area_classification"] = np.where(urban, "urban", "rural")
    write_table(described, folder / "stations.csv")
    path = folder / "demo.toml"
    path.write_text(CONFIG, "utf-8")
    return path
