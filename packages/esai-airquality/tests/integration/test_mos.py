from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_airquality.cli import main
from esai_airquality.mos.demo import prepare
from esai_core.errors import InputError
from esai_core.io import open_dataset, read_table, write_netcdf, write_table
from esai_core.testing import assert_light_cli, data_path, run_cli

EXAMPLES = Path(__file__).parents[2] / "examples"
CLASSICAL = 'mos.methods=["raw", "pers", "ma", "kf", "qm", "an"]'


def metrics(out: Path) -> dict:
    return json.loads((out / "metrics.json").read_text())


def test_help_is_light() -> None:
    assert_light_cli("esai_airquality", verbs=["mos run"])


@pytest.fixture
def network(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    return prepare(folder)


def small(*more: str) -> list[str]:
    words = ['mos.methods=["raw", "ma", "kf", "gbm_alert"]', "mos.leads=[1]", "mos.rounds=10", *more]
    return [part for word in words for part in ("--set", word)]


def test_a_run_goes_on_with_new_days_and_is_the_same_when_repeated(network: Path, tmp_path: Path) -> None:
    table = read_table(network.parent / "network.parquet")
    day = (table["time"] - table["time"].min()).dt.days
    seen = table["observed"].where(day < 100)
    write_table(table.assign(observed=seen)[day < 102], network.parent / "early.parquet")
    files = [f"data.{key}={network.parent / 'early.parquet'}" for key in ("forecast", "observations")]
    done = run_cli(main, ["mos", "train", network, "--out", tmp_path / "day100", *small(*files)])
    assert done.code == 0, done.err
    files = [f"data.{key}={network.parent / 'network.parquet'}" for key in ("forecast", "observations")]
    sets = [part for word in files for part in ("--set", word)]
    for out in ("day150", "again"):
        source = tmp_path / ("day100" if out == "day150" else "day150")
        done = run_cli(main, ["mos", "predict", source, "--out", tmp_path / out, *sets])
        assert done.code == 0, done.err
    for words in (["train", network, "--out", tmp_path / "whole", *small()], ["predict", tmp_path / "whole"]):
        done = run_cli(main, ["mos", *words])
        assert done.code == 0, done.err
    one, other, again = (
        open_dataset(tmp_path / out / "forecast.nc", standard=False) for out in ("whole", "day150", "again")
    )
    assert one.sizes["time"] == 150 * 24
    assert float(one["alert"].sum()) > 0
    xr.testing.assert_identical(one, other)
    xr.testing.assert_identical(one, again)


def failing(network: Path, tmp_path: Path, *sets: str) -> str:
    words = [part for word in sets for part in ("--set", word)]
    done = run_cli(main, ["mos", "run", network, "--out", tmp_path / "run", *words])
    assert done.code == 3, done.err
    assert not (tmp_path / "run").exists()
    return done.error


def changed(network: Path, **columns: object) -> str:
    table = read_table(network.parent / "network.parquet").assign(**columns)
    write_table(table, network.parent / "changed.parquet")
    return f"data.observations={network.parent / 'changed.parquet'}"


def test_bad_input_is_one_clear_line(network: Path, tmp_path: Path) -> None:
    folder = network.parent
    table = read_table(folder / "network.parquet")
    assert "kg/m3 is 1e9 ug/m3" in failing(
        network, tmp_path, changed(network, observed=table["observed"] * 1e-9)
    )
    double = pd.concat([table, table.iloc[[5]]])
    write_table(double, folder / "double.parquet")
    error = failing(network, tmp_path, f"data.observations={folder / 'double.parquet'}")
    assert "1 duplicated stamps, such as station 'S00'" in error
    half = table["time"] + pd.Timedelta(minutes=30)
    assert "not full hours" in failing(network, tmp_path, changed(network, time=half))
    assert "share no station" in failing(network, tmp_path, changed(network, station="X"))
    stations = pd.read_csv(folder / "stations.csv")
    stations.loc[2, "latitude"] = np.nan
    stations.to_csv(folder / "stations.csv", index=False)
    assert "station 'S02' has no latitude" in failing(network, tmp_path)
    stations.dropna().to_csv(folder / "stations.csv", index=False)
    assert "1 stations are not in the table of stations, such as 'S02'" in failing(network, tmp_path)


def test_zones_gaps_and_silent_stations_are_taken(network: Path, tmp_path: Path) -> None:
    table = read_table(network.parent / "network.parquet")
    madrid = table["time"].dt.tz_localize("UTC").dt.tz_convert("Europe/Madrid")
    day = (table["time"] - table["time"].min()).dt.days
    seen = table["observed"].where((table["station"] != "S03") & ~day.between(60, 100))
    argument = changed(network, time=madrid, observed=seen)
    words = [
        part
        for w in (argument, 'mos.methods=["raw", "ma", "kf"]', "data.min_coverage=0.5")
        for part in ("--set", w)
    ]
    done = run_cli(main, ["mos", "run", network, "--out", tmp_path / "run", *words])
    assert done.code == 0, done.err
    assert "S03" in done.err
    found = metrics(tmp_path / "run")
    assert found["dropped_stations"] == ["S03"]
    assert found["stations"] == 7
    assert found["scores"]["kf"]["rmse"] < 0.7 * found["scores"]["raw"]["rmse"]


def test_a_cams_grid_is_interpolated_to_stations(tmp_path: Path) -> None:
    from esai_airquality.mos.grids import read_grid

    lat, lon = np.arange(45.0, 39.0, -0.5), np.arange(355.0, 359.5, 0.5)
    hours = np.arange(6).astype("timedelta64[h]").astype("timedelta64[ns]")
    plane = lat[:, None] * 2 + (lon - 360)[None, :]
    values = plane + np.arange(6)[:, None, None]
    field = xr.DataArray(
        values[:, None], dims=("time", "level", "latitude", "longitude"),
        coords={"time": hours, "level": [0.0], "latitude": lat, "longitude": lon}, name="o3_conc",
    )  # fmt: skip
    path = tmp_path / "cams.nc"
    write_netcdf(field.to_dataset().assign_attrs(FORECAST="Europe, 20230401+[0H_5H]"), path)
    stations = pd.DataFrame({"latitude": [41.3], "longitude": [-3.2]}, index=["ES1"])
    table = read_grid(path, "o3_conc", (), stations)
    assert table["time"].iloc[0] == pd.Timestamp("2023-04-01")
    assert np.allclose(table["value"], 41.3 * 2 - 3.2 + np.arange(6), atol=1e-4)


def test_a_folder_of_runs_tells_its_leads_apart(tmp_path: Path) -> None:
    from esai_airquality.mos.grids import read_grid

    lat, lon = np.array([40.0, 41.0]), np.array([1.0, 2.0])
    for day in (1, 2):
        time = pd.date_range(f"2023-04-{day:02d}", periods=48, freq="h").as_unit("ns")
        values = np.full((48, 2, 2), float(day)) + np.repeat([0.0, 10.0], 24)[:, None, None]
        coords = {"time": time, "latitude": lat, "longitude": lon}
        field = xr.DataArray(values, dims=("time", "latitude", "longitude"), coords=coords, name="o3_conc")
        write_netcdf(field.to_dataset(), tmp_path / f"run{day}.nc")
    stations = pd.DataFrame({"latitude": [40.5], "longitude": [1.5]}, index=["ES1"])
    table = read_grid(tmp_path, None, (), stations)
    shared = table[table["time"] == "2023-04-02"].set_index("lead")["value"]
    assert shared.to_dict() == {2: 11.0, 1: 2.0}
    double = xr.concat([field, field.isel(time=slice(0, 1))], "time").to_dataset()
    write_netcdf(double, tmp_path / "run2.nc")
    with pytest.raises(InputError, match="duplicated stamps"):
        read_grid(tmp_path, None, (), stations)
    with pytest.raises(InputError, match="outside the grid"):
        read_grid(tmp_path / "run1.nc", None, (), stations.assign(longitude=7.0))


def test_a_killed_run_goes_on(network: Path, tmp_path: Path) -> None:
    """The process is killed in the middle, and what it had saved is taken up again."""
    import signal
    import subprocess
    import sys
    import time

    words = ["mos", "train", str(network), "--out", str(tmp_path / "killed"), *small("mos.rounds=60")]
    process = subprocess.Popen(
        [sys.executable, "-m", "esai_airquality.cli", *words], stderr=subprocess.DEVNULL
    )
    saved = tmp_path / ".killed.partial" / "checkpoints" / "state.npz"
    limit = time.monotonic() + 60
    while not saved.exists() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = run_cli(main, [*words, "--resume"])
    assert done.code == 0, done.err
    assert "going on after" in done.err
    whole = run_cli(main, [*words[:3], "--out", tmp_path / "whole", *small("mos.rounds=60")])
    assert whole.code == 0, whole.err
    one, other = ((tmp_path / out / "model" / "state.npz").read_bytes() for out in ("killed", "whole"))
    assert one == other


def test_table_a_is_reproduced(tmp_path: Path) -> None:
    data_path("airquality/no2_ghost_ebas_monarch_2018_hourly.parquet")
    done = run_cli(
        main, ["mos", "run", EXAMPLES / "no2_monarch.toml", "--out", tmp_path / "a", "--set", CLASSICAL]
    )
    assert done.code == 0, done.err
    found = metrics(tmp_path / "a")
    assert found["cases"] == {"1": 286983}
    table = {
        "raw": (12.7, 4.252, 0.615, 15.3, 0.526, 0.364, 0.274, 0.462, 0.836),
        "pers": (0.3, 3.931, 0.606, 0.3, 0.401, 0.398, 0.250, 0.358, 0.867),
        "ma": (3.4, 3.494, 0.706, 5.5, 0.545, 0.450, 0.327, 0.498, 0.914),
        "kf": (3.0, 3.419, 0.715, 4.3, 0.543, 0.460, 0.331, 0.498, 0.917),
        "qm": (4.0, 3.765, 0.677, 10.4, 0.502, 0.424, 0.298, 0.454, 0.900),
        "an": (2.8, 3.062, 0.730, -16.2, 0.417, 0.507, 0.297, 0.389, 0.915),
    }
    names = ("nmb", "rmse", "pcc", "nmsdb", "h", "sr", "csi", "pss", "auc")
    for method, expected in table.items():
        row = found["scores"][method]
        for name, value in zip(names, expected, strict=True):
            near = 0.06 if name in ("nmb", "nmsdb") else 0.001
            if method == "qm":
                near = {"rmse": 0.03, "nmb": 0.3, "nmsdb": 1.0}.get(name, 0.005)
            assert abs(row[name] - value) <= near, (method, name, row[name])


def test_table_b_is_reproduced(tmp_path: Path) -> None:
    data_path("airquality/o3_ebas_network_median_monarch_2018_hourly.csv")
    args = ["mos", "run", EXAMPLES / "o3_network.toml", "--out", tmp_path / "b", "--set", CLASSICAL]
    done = run_cli(main, args)
    assert done.code == 0, done.err
    found = metrics(tmp_path / "b")
    assert found["delivered"] == "kf"
    expected = {"raw": (5.492, 5.492), "pers": (3.350, 4.778), "ma": (2.908, 3.179), "kf": (2.822, 3.095)}
    expected |= {"qm": (4.094, 4.134), "an": (3.859, 4.009)}
    for method, values in expected.items():
        for lead, value in zip("14", values, strict=True):
            near = 0.05 if method == "qm" else 0.005
            assert abs(found["by_lead"][lead][method]["rmse"] - value) <= near, (method, lead)


def test_the_cams_sample_runs(tmp_path: Path) -> None:
    data_path("airquality/cams_regional_forecast_sample_201706.csv.gz")
    done = run_cli(main, ["mos", "run", EXAMPLES / "cams_sample.toml", "--out", tmp_path / "c"])
    assert done.code == 0, done.err
    found = metrics(tmp_path / "c")
    assert found["stations"] == 13
    assert found["by_lead"]["4"]["kf"]["rmse"] < found["by_lead"]["4"]["raw"]["rmse"]
