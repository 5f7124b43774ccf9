"""The embedded example: seeded ozone at eight made-up stations, with a forecast of known bias and drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from esai_core.io import write_table

__all__ = ["CONFIG", "network", "prepare"]

CONFIG = """\
# Made-up ozone at eight stations: a forecast with a bias that drifts, and a diurnal cycle that is too flat.
schema_version = 1

[data]
forecast = "network.parquet"
observations = "network.parquet"
stations = "stations.csv"
species = "o3"
units = "ug/m3"
forecast_column = "forecast"
observed_column = "observed"
meteorology = ["temperature"]

[mos]
leads = [1, 2]
event = 120.0
rounds = 60
depth = 5
threads = 1
"""


def network(*, days: int = 150, stations: int = 8, seed: int = 3) -> pd.DataFrame:
    """Make hourly ozone and its forecast.

    Parameters
    ----------
    days, stations : int
        Size.
    seed : int
        Of the noise.

    Returns
    -------
    DataFrame
        ``time``, ``station``, ``observed``, ``forecast`` (ug/m3, a twentieth of the observations missing) and
        ``temperature`` (K).
    """
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    day = hours / 24.0
    weather = np.zeros(days)
    for d in range(1, days):
        weather[d] = 0.75 * weather[d - 1] + rng.normal()
    slow = np.interp(day, np.arange(days), weather)
    cycle = np.cos(2 * np.pi * (hours % 24 - 15) / 24)
    frames = []
    for s in range(stations):
        base = 70.0 + 4.0 * s + 12.0 * np.sin(2 * np.pi * day / 180.0)
        truth = base + (24.0 + s) * cycle + 10.0 * slow + rng.normal(0, 6, hours.size)
        drift = -12.0 + 14.0 * np.sin(2 * np.pi * day / 90.0 + s)
        forecast = base + 16.0 * cycle + 8.0 * slow + drift + rng.normal(0, 7, hours.size)
        frames.append(
            pd.DataFrame(
                {
                    "time": pd.Timestamp("2022-03-01") + pd.to_timedelta(hours, unit="h"),
                    "station": f"S{s:02d}",
                    "observed": np.where(rng.random(hours.size) < 0.05, np.nan, np.maximum(truth, 0.0)),
                    "forecast": np.maximum(forecast, 0.0),
                    "temperature": 288.0 + 6.0 * cycle + 3.0 * slow,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def prepare(folder: Path) -> Path:
    """Write the network, its stations and a config.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Returns
    -------
    Path
        The config.
    """
    table = network()
    write_table(table, folder / "network.parquet")
    names = sorted(table["station"].unique())
    where = {
        "station": names,
        "latitude": 40.0 + 0.3 * np.arange(len(names)),
        "longitude": -4.0 + 0.4 * np.arange(len(names)),
    }
    write_table(pd.DataFrame(where), folder / "stations.csv")
    path = folder / "demo.toml"
    path.write_text(CONFIG, "utf-8")
    return path
