from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_airquality.cli import main
from esai_airquality.no2.demo import CONFIG, Valley
from esai_airquality.no2.satellite import find_swaths
from esai_airquality.no2.scoring import score_tables
from esai_core.errors import InputError
from esai_core.io import open_dataset, read_table, write_netcdf, write_table
from esai_core.testing import assert_light_cli, data_path, run_cli

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = ("no2.rounds=30", "no2.trees=10", "no2.threads=1")


def sets(*words: str) -> list[str]:
    return [part for word in words for part in ("--set", word)]


def metrics(out: Path) -> dict:
    return json.loads((out / "metrics.json").read_text())


def test_help_is_light() -> None:
    assert_light_cli("esai_airquality", verbs=["no2 run"])


@pytest.fixture(scope="module")
def valley(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of ten days, and their config."""
    folder = tmp_path_factory.mktemp("valley")
    made = Valley(days=10)
    write_table(made.observations(), folder / "observations.parquet")
    write_netcdf(made.fields(), folder / "fields.nc")
    (folder / "s5p").mkdir()
    for number in range(10):
        made.swath(number, folder / "s5p" / f"{number}.nc")
    (folder / "no2.toml").write_text(CONFIG.replace("[no2]", "[no2]\nwindows = [5]"))
    return folder / "no2.toml"


@pytest.fixture(scope="module")
def done(valley: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    made = run_cli(main, ["no2", "run", valley, "--out", out, *sets(*QUICK)])
    assert made.code == 0, made.err
    return out


def test_swaths_end_in_a_map_with_its_uncertainty(valley: Path, done: Path) -> None:
    made = open_dataset(done / "map.nc", standard=False)
    truth = Valley(days=10)
    lat, lon = np.meshgrid(made["latitude"], made["longitude"], indexing="ij")
    expected = np.stack([truth.surface(lat, lon, day) for day in range(10)])
    assert np.corrcoef(made["no2"].values.ravel(), expected.ravel())[0, 1] > 0.75
    assert (made["no2_upper"] >= made["no2"]).all()
    assert (made["no2_lower"] <= made["no2"]).all()
    assert (made["no2_lower"] >= 0).all()
    inside = made["inside"].values == 1
    found = metrics(done)
    assert np.array_equal(
        inside, made["dissimilarity"].values <= np.float32(found["applicability"]["threshold"])
    )
    assert inside.mean() == pytest.approx(found["applicability"]["map_inside"])
    assert 0.3 < inside.mean() < 1
    columns = open_dataset(done / "satellite.nc", standard=False)["no2_column"]
    true = np.stack([truth.column(lat, lon, day) for day in range(10)]) / 1e15
    seen = np.isfinite(columns.values)
    assert 0.2 < seen.mean() < 0.95
    assert abs((columns.values - true)[seen].mean()) < 0.1


def test_all_is_scored_side_by_side(done: Path) -> None:
    found = metrics(done)
    assert list(found["by_cv"]) == ["random", "station", "block_0.5"]
    assert found["delivered"] == "xgboost"
    assert found["scores"] == found["by_cv"]["block_0.5"]
    table = read_table(done / "stations.parquet")
    for name, scores in found["by_cv"].items():
        methods = {"climatology", "linear", "rf", "xgboost", "linear_nosat", "rf_nosat", "xgboost_nosat"}
        assert set(scores) == methods
        y, f = table["observed"], table[f"{name}/linear"]
        assert scores["linear"]["r2"] == pytest.approx(1 - ((y - f) ** 2).sum() / ((y - y.mean()) ** 2).sum())
        assert scores["linear"]["rmse"] == pytest.approx(np.sqrt(((y - f) ** 2).mean()))
    assert set(found["satellite_gain"]["station"]) == {"linear", "rf", "xgboost"}
    assert 0.8 < found["interval"]["all"]["coverage"] < 0.98
    text = (done / "report.html").read_text()
    for words in ("Cross-validations side by side", "area of applicability", "without the satellite"):
        assert words in text


def test_a_trained_model_maps_other_days(valley: Path, done: Path, tmp_path: Path) -> None:
    fields = open_dataset(valley.parent / "fields.nc", standard=False).load()
    write_netcdf(fields.isel(time=slice(2, 5)), tmp_path / "part.nc")
    word = sets(f"data.fields={tmp_path / 'part.nc'}")
    made = run_cli(main, ["no2", "predict", done, "--out", tmp_path / "again", *word])
    assert made.code == 0, made.err
    some = open_dataset(tmp_path / "again" / "map.nc", standard=False)
    whole = open_dataset(done / "map.nc", standard=False)
    assert some.sizes["time"] == 3
    plain = np.isclose(some["no2"], whole["no2"].isel(time=slice(2, 5)), rtol=0.5)
    assert plain.mean() > 0.7  # windows see fewer days


def test_the_same_run_gives_the_same_bits_in_any_order(valley: Path, done: Path, tmp_path: Path) -> None:
    table = read_table(valley.parent / "observations.parquet").sample(frac=1, random_state=0)
    write_table(table, tmp_path / "shuffled.parquet")
    word = sets(*QUICK, f"data.observations={tmp_path / 'shuffled.parquet'}")
    made = run_cli(main, ["no2", "train", valley, "--out", tmp_path / "again", *word])
    assert made.code == 0, made.err
    one, other = (read_table(folder / "stations.parquet") for folder in (done, tmp_path / "again"))
    pd.testing.assert_frame_equal(one, other)


def failing(valley: Path, tmp_path: Path, *words: str) -> str:
    made = run_cli(main, ["no2", "run", valley, "--out", tmp_path / "run", *sets(*QUICK, *words)])
    assert made.code in (2, 3), made.err
    return made.error


def test_bad_input_is_one_clear_line(valley: Path, tmp_path: Path) -> None:
    assert "no such file" in failing(valley, tmp_path, "data.fields=none.nc")
    with pytest.raises(InputError, match="no such file or folder"):
        find_swaths(tmp_path / "away")
    assert "no Sentinel-5P files here" in failing(valley, tmp_path, f"data.swaths={tmp_path}")
    assert "unknown column 'rods'" in failing(valley, tmp_path, 'data.predictors=["rods"]')
    assert "not among data.satellite" in failing(valley, tmp_path, 'no2.windowed=["wind"]')
    assert "not among the methods" in failing(valley, tmp_path, 'no2.methods=["rf"]')
    fields = open_dataset(valley.parent / "fields.nc", standard=False).load()
    write_netcdf(fields.isel(longitude=slice(0, 30)), tmp_path / "west.nc")
    assert "lies outside the fields" in failing(valley, tmp_path, f"data.fields={tmp_path / 'west.nc'}")
    late = fields.assign_coords(time=fields["time"] + np.timedelta64(400, "D"))
    write_netcdf(late, tmp_path / "late.nc")
    assert "share no day" in failing(valley, tmp_path, f"data.fields={tmp_path / 'late.nc'}")
    write_netcdf(xr.Dataset({"x": ("z", [1.0])}), tmp_path / "line.nc")
    assert "latitude" in failing(valley, tmp_path, f"data.fields={tmp_path / 'line.nc'}")


def test_the_po_valley_keeps_its_skill_at_new_stations(tmp_path: Path) -> None:
    data_path("airquality/no2_tropomi_povalley_2019_2021.parquet")
    words = sets('no2.methods=["xgboost"]', "no2.rounds=40", "no2.learning_rate=0.2", "no2.threads=1")
    made = run_cli(main, ["no2", "train", EXAMPLES / "no2_povalley.toml", "--out", tmp_path / "a", *words])
    assert made.code == 0, made.err
    by_cv = score_tables(read_table(tmp_path / "a" / "stations.parquet"))
    r2 = {name: table["xgboost"]["r2"] for name, table in by_cv.items()}
    assert r2["station"] >= 0.58
    assert r2["block_0.5"] >= 0.58
    assert r2["random"] > r2["station"] + 0.05
    for name in ("station", "block_0.5", "month", "year_2021"):
        assert r2[name] > by_cv[name]["xgboost_nosat"]["r2"]


def test_leaks_of_the_annual_table_are_refused_and_flagged(tmp_path: Path) -> None:
    data_path("airquality/no2_annual_stations_tropomi2018_predictors.parquet")
    example = EXAMPLES / "no2_annual.toml"
    made = run_cli(main, ["no2", "run", example, "--out", tmp_path / "a", *sets("data.leaks=refuse")])
    assert made.code == 3
    for name in ("day_value", "night_value", "ID"):
        assert name in made.error
    words = sets(
        'no2.methods=["xgboost"]', "no2.rounds=25", "no2.learning_rate=0.3", "no2.depth=4", "no2.threads=1"
    )
    words += sets("validation.blocks=[1.0]", "validation.ablation=false")
    made = run_cli(main, ["no2", "run", example, "--out", tmp_path / "a", *words])
    assert made.code == 0, made.err
    found = metrics(tmp_path / "a")
    assert set(found["leaks"]) == {"day_value", "night_value", "ID"}
    assert not set(found["importance"]) & set(found["leaks"])
    assert 0.55 < found["by_cv"]["block_1"]["xgboost"]["r2"] < 0.72
    assert "night_value" in (tmp_path / "a" / "report.html").read_text()
