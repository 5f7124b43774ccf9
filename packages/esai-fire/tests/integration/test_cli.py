from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.explain import Drivers
from esai_core.testing import assert_light_cli, run_cli
from esai_fire.cli import main


def test_help_is_light() -> None:
    assert_light_cli("esai_fire", verbs=["run", "demo", "fetch"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "run"
    done = run_cli(main, ["demo", "--out", out])
    assert done.code == 0, done.err
    assert Path(done.last) == out / "report.html"
    return out


def test_the_demo_makes_a_whole_run(demo: Path) -> None:
    metrics = json.loads((demo / "metrics.json").read_text())
    assert metrics["delivered"] == "stack"
    assert set(metrics["scores"]) == {"climatology", "trend", "single", "pair", "lasso", "stack"}
    assert {"d2", "crps", "r", "rmse"} <= set(metrics["scores"]["stack"])
    assert metrics["scores"]["stack"]["d2"] > 0.3
    assert metrics["kkt_max"] <= 1e-4
    assert metrics["cells"] == 30
    with xr.open_dataset(demo / "forecast.nc", engine="netcdf4") as ds:
        assert ds["burned_area"].dims == ("time", "latitude", "longitude")
        assert ds.attrs["Conventions"] == "CF-1.11"
        there = ds["burned_area"].notnull()
        assert bool((ds["burned_area_lower"] <= ds["burned_area_upper"]).where(there, True).all())
        assert ds["burned_area"].attrs["ancillary_variables"] == "burned_area_lower burned_area_upper"
        assert "90 %" in ds["burned_area_lower"].attrs["long_name"]
    regions = pd.read_csv(demo / "regions.csv")
    assert set(regions["region"]) == {"total"}


def test_the_demo_says_how_sure_it_is_and_what_drives_it(demo: Path) -> None:
    """The made-up fires follow nino34 alone."""
    interval = json.loads((demo / "metrics.json").read_text())["interval"]
    assert set(interval) == {"all", "cells", "total"}
    assert 0.85 <= interval["cells"]["coverage"] <= 0.95
    told = Drivers.load(demo / "model" / "drivers.json")
    for one in told.attributions:
        assert one.ranking()[0] == "nino34", one.method
    assert told.check is not None
    assert told.check.passed
    page = (demo / "report.html").read_text("utf-8")
    for title in ("How sure is it", "What drives this", "Lagged causes", "How sure are the emissions"):
        assert title in page


def test_the_demo_emits_species(demo: Path) -> None:
    """The made-up GFAS follows burned area to the power 0.9: the emissions are as skilful as the area."""
    emissions = json.loads((demo / "metrics.json").read_text())["emissions"]
    assert emissions["units"] == "kg"
    assert set(emissions["by_species"]) == {"CO2", "CO"}
    for row in emissions["by_species"].values():
        assert row["by_region"]["total"]["stack"]["d2"] > 0.8
        assert row["scores"]["stack"]["d2"] > 0.3
        assert 0.85 <= row["coverage"] <= 0.97
    with xr.open_dataset(demo / "emissions.nc", engine="netcdf4") as ds:
        assert ds["CO"].dims == ("time", "latitude", "longitude")
        assert ds["CO"].attrs["units"] == "kg"
        total = ds["CO2"].sum(["latitude", "longitude"]).values
    table = pd.read_csv(demo / "emissions.csv").query("species == 'CO2'")
    np.testing.assert_allclose(total, table["emission"], rtol=0.35)
    monthly = pd.read_csv(demo / "emissions_monthly.csv", parse_dates=["when"])
    assert len(monthly) == 2 * 12 * len(table)
    one = monthly.query("species == 'CO2'")
    np.testing.assert_allclose(one["emission"].sum(), table["emission"].sum(), rtol=1e-9)
    with xr.open_dataset(demo / "model" / "emission_fits.nc", engine="netcdf4") as fits:
        np.testing.assert_allclose(fits["slope"].values, 0.9, atol=0.15)


def test_a_holdout_is_scored_alone_and_trains_nothing(demo: Path, tmp_path: Path) -> None:
    config = demo.with_name("run-inputs") / "config.toml"
    sets = ["--set", "split.holdout=[2003, 2006]", "--set", "model.stability=0"]
    done = run_cli(main, ["run", config, "--out", tmp_path / "a", *sets])
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "a" / "metrics.json").read_text())
    assert metrics["split"]["test"][0] == 2003
    assert metrics["split"]["train"][1] <= 2002
    with xr.open_dataset(demo.with_name("run-inputs") / "burned_area.nc", engine="netcdf4") as ds:
        changed = ds.load()
    changed["burned_area"].values[(changed["time"].dt.year >= 2004).values] *= 7.0
    changed.to_netcdf(tmp_path / "changed.nc", engine="netcdf4")
    done = run_cli(
        main,
        [
            "run",
            config,
            "--out",
            tmp_path / "b",
            *sets,
            "--set",
            f"data.burned_area={tmp_path / 'changed.nc'}",
        ],
    )
    assert done.code == 0, done.err
    first, second = (pd.read_csv(tmp_path / name / "regions.csv").query("scored == 1") for name in "ab")
    np.testing.assert_allclose(first["stack"], second["stack"], rtol=1e-6)
    assert not np.allclose(first["observed"], second["observed"])


def test_the_monthly_model_runs_to_its_report_and_emissions(demo: Path, tmp_path: Path) -> None:
    config = demo.with_name("run-inputs") / "config.toml"
    sets = [
        "target.season=monthly", "split.holdout=[1996, 2005]", "model.stability=0", "predictors.lags=[4, 6]",
        "model.lambdas=6",
    ]  # fmt: skip
    words = [word for one in sets for word in ("--set", one)]
    done = run_cli(main, ["run", config, "--out", tmp_path / "run", *words])
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["split"]["test"] == [1996, 2005]
    # The climatology of each month is the base: skill is beyond the season.
    assert metrics["scores"]["stack"]["d2"] > 0.3
    assert metrics["kkt_max"] <= 1e-4
    assert metrics["emissions"]["by_species"]["CO"]["by_region"]["total"]["stack"]["d2"] > 0.3
    with xr.open_dataset(tmp_path / "run" / "emissions.nc", engine="netcdf4") as ds:
        months = pd.DatetimeIndex(ds["time"].values)
        assert (np.diff(months.to_period("M").astype("int64")) == 1).all()
    regions = pd.read_csv(tmp_path / "run" / "regions.csv", parse_dates=["when"])
    august = regions[(regions.when.dt.month == 8) & (regions.scored == 1)]
    assert (august["stack"] > 0).all()
    # Nothing burns in January: its climatology is the floor, 1 % of the mean month.
    assert regions[regions.when.dt.month == 1]["stack"].mean() < 0.02 * august["stack"].mean()
    assert (tmp_path / "run" / "report.html").stat().st_size > 50_000


def test_cells_of_another_size_hold_the_same_area(demo: Path, tmp_path: Path) -> None:
    config = demo.with_name("run-inputs") / "config.toml"
    sets = ["target.resolution=2.0", "model.stability=0", 'model.forecasters=["trend", "single"]']
    words = [word for one in sets for word in ("--set", one)]
    done = run_cli(main, ["run", config, "--out", tmp_path / "run", *words])
    assert done.code == 0, done.err
    coarse, fine = (pd.read_csv(folder / "regions.csv") for folder in (tmp_path / "run", demo))
    np.testing.assert_allclose(coarse["observed"], fine["observed"], rtol=1e-6)


def test_other_engines_give_the_same_run(demo: Path, tmp_path: Path) -> None:
    config = demo.with_name("run-inputs") / "config.toml"
    sets = [
        "split.holdout=[2005, 2006]", "model.stability=0", "target.resolution=4.0", "model.lambdas=4",
        'model.forecasters=["lasso"]', "split.inner_folds=3", "model.pool=false",
    ]  # fmt: skip
    words = [word for one in sets for word in ("--set", one)]
    for engine in ("numba", "glum"):
        done = run_cli(
            main, ["run", config, "--out", tmp_path / engine, "--set", f"model.engine={engine}", *words]
        )
        assert done.code == 0, done.err
    one, two = (pd.read_csv(tmp_path / engine / "regions.csv") for engine in ("numba", "glum"))
    np.testing.assert_allclose(one["lasso"], two["lasso"], rtol=1e-4)
    code, error = _refused(config, tmp_path / "c", "model.engine=glmnet")
    assert code == 2
    assert "numba" in error


def _refused(config: Path, out: Path, *sets: str) -> tuple[int, str]:
    words = [word for one in sets for word in ("--set", one)]
    done = run_cli(main, ["run", config, "--out", out, *words])
    assert "Traceback" not in done.err
    assert not out.exists()
    return done.code, done.error


def test_bad_input_is_one_clear_line(demo: Path, tmp_path: Path) -> None:
    folder = demo.with_name("run-inputs")
    config = folder / "config.toml"
    table = pd.read_csv(folder / "indices.csv")
    table[table["time"] < "2005"].to_csv(tmp_path / "short.csv", index=False)
    code, error = _refused(config, tmp_path / "a", f"data.indices={tmp_path / 'short.csv'}")
    assert code == 3
    assert "ends in 2004-12, before the issue date" in error
    table.assign(pdo=table["pdo"].where(table.index != 7, -99.9)).to_csv(tmp_path / "marks.csv", index=False)
    code, error = _refused(config, tmp_path / "b", f"data.indices={tmp_path / 'marks.csv'}")
    assert code == 3
    assert "missing_values" in error
    mask = xr.Dataset(
        {"region": (("latitude", "longitude"), np.zeros((5, 6), int))},
        coords={"latitude": 35.5 + np.arange(5), "longitude": -120.5 + np.arange(6)},
    )
    mask.to_netcdf(tmp_path / "mask.nc", engine="netcdf4")
    code, error = _refused(config, tmp_path / "c", f"data.regions={tmp_path / 'mask.nc'}")
    assert code == 3
    assert "the mask removes every cell" in error
    code, error = _refused(config, tmp_path / "d", 'predictors.indices=["nino43"]')
    assert code == 2
    assert "nino34" in error
    code, error = _refused(config, tmp_path / "e", "split.holdout=[1970, 1975]")
    assert code == 2
    code, error = _refused(config, tmp_path / "f", "model.screening_outside_fold=true")
    assert code == 2


def test_fetch_shows_what_it_would_ask_for() -> None:
    done = run_cli(main, ["fetch", "--dry-run"])
    assert done.code == 0, done.err
    for name in (
        "satellite-fire-burned-area",
        "sst.mnmean.nc",
        "nina34.anom.data",
        "cams-global-fire-emissions-gfas",
    ):
        assert name in done.out
