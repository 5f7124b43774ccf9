from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.testing import assert_light_cli, data_path, run_cli
from esai_fire.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"


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
    regions = pd.read_csv(demo / "regions.csv")
    assert set(regions["region"]) == {"total"}


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


def test_emissions_from_the_published_tables(tmp_path: Path) -> None:
    data_path("fire/GFED4_Emission_Factors.csv")
    done = run_cli(main, ["run", EXAMPLES / "emissions.toml", "--out", tmp_path / "run"])
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["closure"]["CO"]["max_percent"] <= 1.5
    assert metrics["scores"]["source_factors"]["d2"] > metrics["scores"]["one_factor"]["d2"]


def test_gfed_regions(tmp_path: Path) -> None:
    data_path("fire/gfed41s_dm_region_annual_1997_2011.csv")
    done = run_cli(main, ["run", EXAMPLES / "gfed_regions.toml", "--out", tmp_path / "run"])
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["by_region"]["EQAS"]["stack"]["d2"] > 0.4
    assert metrics["scores"]["stack"]["d2"] > -0.1


def test_western_us_in_short(tmp_path: Path) -> None:
    """The example as it is shipped, without the half samples; about 45 s of one core."""
    data_path("fire/wumi_burned_area_1deg_monthly_1984_2012.nc")
    done = run_cli(
        main, ["run", EXAMPLES / "western_us.toml", "--out", tmp_path / "run", "--set", "model.stability=0"]
    )
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["scores"]["stack"]["d2"] >= 0.0
    total = metrics["by_region"]["total"]
    assert total["stack"]["d2"] > total["trend"]["d2"]
    assert metrics["kkt_max"] <= 1e-4
    assert metrics["cells"] > 150
