"""What drives refined fields, on fields whose detail follows what was put in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.grid import Grid, regrid
from esai_seasonal.config import TrainSection
from esai_seasonal.network.superresolution import SuperResolution
from esai_seasonal.refining_drivers import explain

FITTED, SCORED = slice(0, 360), slice(360, 480)


def fields(driver: str) -> xr.DataArray:
    """Hourly fields whose detail is a fixed pattern times the local anomaly, or that of the whole domain."""
    rng = np.random.default_rng(7)
    grid = Grid(40 + np.arange(13) / 4, np.arange(17) / 4)
    times = xr.date_range("2019-03-01", periods=SCORED.stop, freq="h", use_cftime=False)
    shape = (len(times), *(one[::4].size for one in (grid.latitude, grid.longitude)))
    local, whole = rng.normal(0, 4, shape), rng.normal(0, 4, (len(times), 1, 1))
    local = local - local.mean(axis=(1, 2), keepdims=True)
    cycle = 8 * np.sin(2 * np.pi * times.hour.to_numpy() / 24)[:, None, None]
    nodes = xr.DataArray(
        280 + cycle + local + whole,
        dims=("time", "latitude", "longitude"),
        coords={"time": times, "latitude": grid.latitude[::4], "longitude": grid.longitude[::4]},
        attrs={"units": "K"},
    )
    smooth = regrid(nodes, grid)
    rows, columns = (np.sin(np.pi * (axis % 4) / 4) for axis in np.indices(smooth.shape[1:]))
    pattern = rows + columns  # 0 at the nodes, which keep their values
    strength = smooth - 280 - cycle - whole if driver == "anomaly of the coarse field" else whole
    return (smooth + 0.3 * pattern * strength).assign_attrs(units="K")


@pytest.mark.parametrize("driver", ["anomaly of the coarse field", "mean anomaly of the domain"])
def test_the_injected_driver_ranks_first(driver: str, tmp_path: Path) -> None:
    series = fields(driver)
    fitted = SuperResolution.fit(series.isel(time=FITTED), factor=4).train(
        series.isel(time=FITTED),
        config=TrainSection(epochs=12, batch_size=32, seed=1, learning_rate=1e-2),
        networks=1,
        width=8,
        folder=tmp_path,
    )
    found = explain(fitted, series.isel(time=SCORED), delivered="network", seed=0)
    assert found is not None
    occluded, graded = found.attributions
    predictors = [name for name in occluded.ranking() if name in graded.names]
    assert predictors[0] == graded.ranking()[0] == driver
    assert found.check is not None
    assert found.check.passed
