"""The embedded example: a seeded index that a small ensemble foresees, best in weeks 3-4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

__all__ = ["CONFIG", "prepare", "toy_index"]

CONFIG = """\
# A toy oscillation of 50 days, 12 winters, 5 members of 45 days: made-up data in the layout of SubX.
schema_version = 1
models = ["climatology", "raw", "logistic", "forest", "boosting", "emos", "ensemble"]
seed = 0

[data]
forecast = "toy_index.nc"
observations = "toy_index.nc"
variables = ["index"]

[edges]
group = "none"

[split]
blocks = "season"
inner = 3

[model]
trees = 20
rounds = 20
"""


def toy_index(*, seed: int = 0, winters: int = 12, members: int = 5) -> xr.Dataset:
    """Return a noisy oscillation with hindcasts whose error grows with lead.

    Parameters
    ----------
    seed : int
        Of all noise.
    winters, members : int
        Size.

    Returns
    -------
    Dataset
        ``index`` (forecast_time, realization, lead_time) and ``index_obs`` (forecast_time, lead_time).
    """
    rng = np.random.default_rng(seed)
    starts, truth, forecast = [], [], []
    lead = np.arange(45)
    for winter in range(winters):
        first = np.datetime64(f"{2000 + winter}-11-01")
        days = 210
        phase = 2 * np.pi * (np.arange(days) / 50 + rng.random()) + np.cumsum(rng.normal(0, 0.08, days))
        level = 1.0 + 0.4 * np.sin(2 * np.pi * np.arange(days) / 170 + rng.uniform(0, 6))
        index = level * np.sin(phase) + rng.normal(0, 0.2, days)
        for day in range(0, 150, 6):
            starts.append(first + np.timedelta64(day, "D"))
            truth.append(index[day : day + 45])
            drift = np.cumsum(rng.normal(0, 0.045, (members, 45)), axis=1) + np.cumsum(
                rng.normal(0, 0.06, 45)
            )
            fading = np.exp(-lead / 60)
            forecast.append(
                1.3 * level[day] * fading * np.sin(phase[day : day + 45] + drift)
                + 0.3
                + rng.normal(0, 0.35, (members, 45))
            )
    return xr.Dataset(
        {
            "index": (("forecast_time", "realization", "lead_time"), np.array(forecast, dtype=np.float32)),
            "index_obs": (("forecast_time", "lead_time"), np.array(truth, dtype=np.float32)),
        },
        coords={
            "forecast_time": np.array(starts, dtype="datetime64[ns]"),
            "realization": np.arange(1, members + 1),
            "lead_time": ("lead_time", lead, {"units": "days"}),
        },
        attrs={"title": "made-up oscillation"},
    )


def prepare(folder: Path) -> Path:
    """Write the toy index and a config.

    Parameters
    ----------
    folder : Path
        An empty folder.

    Returns
    -------
    Path
        The config.
    """
    toy_index().to_netcdf(folder / "toy_index.nc", engine="netcdf4")
    path = folder / "demo.toml"
    path.write_text(CONFIG)
    return path
