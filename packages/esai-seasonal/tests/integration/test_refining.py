"""Super-resolution from files: the lapse rate, intervals between nodes, what drives it, conserved means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.explain import Drivers
from esai_core.io import write_netcdf
from esai_core.tasks.nextframe.demo import toy_series
from esai_core.testing import run_cli
from esai_seasonal.cli import main

RATE = 0.008
CONFIG = """\
schema_version = 1
task = "superresolution"

[data]
reference = "fields.nc"
static_fine = "static.nc"
variable = "t2m"
factor = 4

[split]
train = [2019-03-01, 2019-03-08]
validate = [2019-03-09, 2019-03-11]
test = [2019-03-12, 2019-03-15]

[model]
networks = 1

[train]
epochs = 2
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hourly temperature over hills, colder above by a known rate, of which the nodes are given."""
    folder = tmp_path_factory.mktemp("refining")
    air = toy_series(times=360, shape=(9, 13), wind=0.2)
    smooth = air.isel(latitude=slice(None, None, 4), longitude=slice(None, None, 4)).interp_like(air)
    height = 800.0 + 500.0 * np.random.default_rng(0).normal(size=(9, 13))
    relief = xr.DataArray(height, {n: air[n] for n in ("latitude", "longitude")}, ("latitude", "longitude"))
    noise = 0.3 * np.random.default_rng(1).normal(size=air.shape)
    fields = (smooth - RATE * relief + noise).astype("float32").rename("t2m").assign_attrs(air.attrs)
    write_netcdf(fields.to_dataset(), folder / "fields.nc")
    write_netcdf(relief.rename("orog").assign_attrs(units="m").to_dataset(), folder / "static.nc")
    (folder / "config.toml").write_text(CONFIG)
    done = run_cli(main, ["run", folder / "config.toml", "--out", folder / "run"])
    assert done.code == 0, done.err
    return folder / "run"


def test_the_lapse_rate_is_found_and_beats_interpolation(made: Path) -> None:
    metrics = json.loads((made / "metrics.json").read_text())
    assert metrics["lapse_rate"] == pytest.approx(RATE, rel=0.05)
    rmse = {name: row["rmse"] for name, row in metrics["scores"].items()}
    assert rmse["lapse_rate"] < 0.25 * rmse["bilinear"]


def test_intervals_between_the_nodes_cover(made: Path) -> None:
    metrics = json.loads((made / "metrics.json").read_text())
    assert 0.85 <= metrics["interval"]["all"]["coverage"] <= 0.95
    assert set(metrics["interval"]) == {"all", "00-05 h", "06-11 h", "12-17 h", "18-23 h"}
    with xr.open_dataset(made / "forecast.nc", engine="netcdf4") as ds:
        assert ds["t2m"].attrs["ancillary_variables"] == "t2m_lower t2m_upper"
        assert bool((ds["t2m_lower"] < ds["t2m_upper"]).all())


def test_conserving_keeps_coarse_means_and_costs_nothing(made: Path) -> None:
    for row in json.loads((made / "metrics.json").read_text())["conservation"].values():
        assert row["miss_conserving"] <= 1e-5
        assert row["miss"] > 1e-5
        assert row["rmse_conserving"] <= 1.02 * row["rmse"]


def test_the_report_says_what_drives_it(made: Path) -> None:
    told = Drivers.load(made / "models" / "drivers.json")
    assert [one.method for one in told.attributions] == ["occlusion", "integrated gradients"]
    assert {"orography", "mean detail", "anomaly of the coarse field"} <= set(told.attributions[0].names)
    assert told.check is not None
    page = (made / "report.html").read_text("utf-8")
    for title in ("How sure is it", "What drives this", "Conserving coarse means"):
        assert title in page
