from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_airquality.cli import main
from esai_airquality.reanalysis.demo import prepare
from esai_airquality.reanalysis.eac4 import concentration
from esai_core.io import open_dataset, read_table, write_netcdf, write_table
from esai_core.testing import assert_light_cli, data_path, run_cli

EXAMPLES = Path(__file__).parents[2] / "examples"
FEW = 'model.methods=["raw", "mean", "idw", "kriging", "ridge_kriging"]'


def metrics(out: Path) -> dict:
    return json.loads((out / "metrics.json").read_text())


def test_help_is_light() -> None:
    assert_light_cli("esai_airquality", verbs=["reanalysis run"])


def test_the_check_cell() -> None:
    found = concentration(np.array([6.98407e-8]), 297.9029, 0.0046026, 94331.2)
    assert abs(found[0] - 76.825) < 5e-4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def done(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    result = run_cli(main, ["reanalysis", "run", inputs, "--out", out, "--set", FEW])
    assert result.code == 0, result.err
    return out


def test_the_corrected_grid_is_nearer_to_the_truth(done: Path) -> None:
    found = metrics(done)
    assert found["delivered"] == "ridge_kriging"
    scores = found["scores"]
    assert scores["chosen"]["rmse"] < 0.5 * scores["raw"]["rmse"]
    assert scores["chosen"]["rmse"] < scores["idw"]["rmse"]
    assert 0.86 < found["networks"]["stations"]["coverage"] < 0.94
    ds = open_dataset(done / "corrected.nc", standard=False)
    assert ds["o3"].dims == ("period", "latitude", "longitude")
    assert list(ds["period"].values) == ["2018-06", "2018-07"]
    assert bool((ds["sd"] > 0).all())
    far, near = ds["distance"] > 80, ds["distance"] < 30
    assert float(ds["sd"].where(far).mean()) > float(ds["sd"].where(near).mean())
    assert bool((ds["o3_lower"] <= ds["o3"]).all())
    assert bool((ds["o3"] <= ds["o3_upper"]).all())
    stations = read_table(done / "stations_stations.csv")
    assert stations["station"].nunique() == 54  # urban ones are left out
    assert "sd" in stations


def test_steps_can_be_done_one_by_one(inputs: Path, done: Path, tmp_path: Path) -> None:
    words = ["--set", FEW]
    result = run_cli(main, ["reanalysis", "train", inputs, "--out", tmp_path / "steps", *words])
    assert result.code == 0, result.err
    for verb in ("predict", "evaluate", "report"):
        result = run_cli(main, ["reanalysis", verb, tmp_path / "steps"])
        assert result.code == 0, result.err
    one, other = (open_dataset(out / "corrected.nc", standard=False) for out in (done, tmp_path / "steps"))
    xr.testing.assert_identical(one.drop_attrs(), other.drop_attrs())


def failing(inputs: Path, tmp_path: Path, *sets: str, code: int = 3) -> str:
    words = [part for word in (FEW, *sets) for part in ("--set", word)]
    result = run_cli(main, ["reanalysis", "run", inputs, "--out", tmp_path / "bad", *words])
    assert result.code == code, result.err
    assert not (tmp_path / "bad").exists()
    return result.error


def test_bad_input_is_one_clear_line(inputs: Path, tmp_path: Path) -> None:
    folder = inputs.parent
    levels = open_dataset(folder / "levels.nc", standard=False).load()

    def grid(ds: xr.Dataset) -> str:
        write_netcdf(ds, tmp_path / "levels.nc")
        return f"grid.model_levels={tmp_path / 'levels.nc'}"

    assert "no variable 'q'" in failing(inputs, tmp_path, grid(levels.drop_vars("q")))
    assert "other times or other grids" in failing(inputs, tmp_path, grid(levels.isel(time=slice(8, None))))
    cold = levels.assign(t=xr.full_like(levels["t"], 20.0))
    assert "t is 20 on average" in failing(inputs, tmp_path, grid(cold))
    celsius = levels.assign(t=levels["t"].assign_attrs(units="degC"))
    assert "t is in 'degC', not 'K'" in failing(inputs, tmp_path, grid(celsius))

    def observations(table: pd.DataFrame) -> str:
        write_table(table, tmp_path / "observations.parquet")
        files = {"stations": folder / "stations.csv", "observations": tmp_path / "observations.parquet"}
        return "networks=[{name='n', " + ", ".join(f"{key}='{path}'" for key, path in files.items()) + "}]"

    table = read_table(folder / "observations.parquet")
    double = pd.concat([table, table.iloc[[5]]])
    assert "1 duplicated stamps" in failing(inputs, tmp_path, observations(double))
    assert "kg/m3 is 1e9 ug/m3" in failing(
        inputs, tmp_path, observations(table.assign(o3=table["o3"] * 1e-9))
    )
    late = table.assign(time=table["time"] + pd.Timedelta(days=400))
    assert "no time from 2019" in failing(inputs, tmp_path, observations(late))
    assert "share no name" in failing(inputs, tmp_path, observations(table.assign(station="X")))


def test_the_sample_of_eac4_gives_the_check_cell_and_the_cases_beat_idw(tmp_path: Path) -> None:
    data_path("airquality/eac4_sample/eac4_large_levtype_ml.nc")
    args = ["reanalysis", "run", EXAMPLES / "eac4.toml", "--out", tmp_path / "run"]
    methods = 'model.methods=["raw", "mean", "idw", "kriging", "ridge_idw", "ridge_kriging"]'
    result = run_cli(main, [*args, "--set", methods])
    assert result.code == 0, result.err
    found = metrics(tmp_path / "run")
    assert abs(found["first_cell"]["o3_ugm3"] - 76.825) < 1e-3
    ds = open_dataset(tmp_path / "run" / "surface.nc", standard=False)
    cell = ds["o3"].isel(time=0).sel(latitude=23.5, longitude=27.0)
    assert abs(float(cell) - 76.825) < 1e-3
    o3, no2 = found["by_network"]["o3"], found["by_network"]["no2"]
    assert abs(o3["mean"]["rmse"] - 7.31) < 0.005
    assert abs(o3["idw"]["rmse"] - 3.97) < 0.005
    assert o3["chosen"]["rmse"] < 0.85 * o3["idw"]["rmse"]
    assert no2["chosen"]["rmse"] < 0.95 * no2["idw"]["rmse"] < no2["raw"]["rmse"]
    for name in ("o3", "no2"):
        assert found["networks"][name]["beats_idw"]
        assert 0.87 < found["networks"][name]["coverage"] < 0.93
    assert "The gridded field is the raw reanalysis" in (tmp_path / "run" / "report.html").read_text()
