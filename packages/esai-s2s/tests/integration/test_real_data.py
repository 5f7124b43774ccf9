"""The figures of the examples on real files, with the methods that take seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.testing import data_path, run_cli
from esai_core.verify import rps, rps_fair
from esai_s2s.cli import main
from esai_s2s.sample import LABELS

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = 'models=["climatology", "raw", "logistic", "emos", "ensemble"]'


def run(name: str, out: Path, *changes: str) -> dict:
    if not EXAMPLES.is_dir():
        pytest.skip("the examples are not beside the tests")
    words = [word for change in changes for word in ("--set", change)]
    done = run_cli(main, ["run", EXAMPLES / f"{name}.toml", "--out", out, *words])
    assert done.code == 0, done.err
    return json.loads((out / "metrics.json").read_text())


def until(name: str, time: str, last: str, folder: Path) -> Path:
    """Copy a file up to a date: the figures are of these years, and the file may have got later ones."""
    path = folder / Path(name).name
    with xr.open_dataset(data_path(name), engine="netcdf4") as ds:
        ds.sel({time: slice(None, last)}).to_netcdf(path, engine="netcdf4")
    return path


def test_mjo(tmp_path: Path) -> None:
    path = until("s2s/subx_geos_rmm1.nc", "forecast_time", "2012-06-30", tmp_path)
    files = (f"data.forecast={path}", f"data.observations={path}")
    table = run("mjo", tmp_path / "run", QUICK, *files)["by_lead"]
    near, far = ({name: row["rpss"] for name, row in table[lead].items()} for lead in ("14d", "28d"))
    assert near["raw"] == pytest.approx(0.242, abs=5e-4)
    assert far["raw"] == pytest.approx(0.054, abs=5e-4)
    assert near["logistic"] == pytest.approx(0.393, abs=1e-3)
    assert far["logistic"] == pytest.approx(0.201, abs=1e-3)
    for scores in (near, far):
        assert scores["ensemble"] >= max(v for k, v in scores.items() if k != "ensemble") - 0.003


def test_rain(tmp_path: Path) -> None:
    path = until("s2s/gefs_innsbruck_rain_5-8d.nc", "time", "2008-12-31", tmp_path)
    files = (f"data.forecast={path}", f"data.observations={path}")
    scores = run("rain", tmp_path / "run", QUICK, *files)["scores"]
    assert scores["raw"]["rpss"] == pytest.approx(0.074, abs=1e-3)
    assert scores["logistic"]["rpss"] == pytest.approx(0.179, abs=1.5e-3)
    assert scores["ensemble"]["rpss"] >= 0.18


def test_germany_without_a_forecast_has_no_skill(tmp_path: Path) -> None:
    path = until("s2s/Observations_Germany.nc", "time", "2017-12-31", tmp_path)
    changes = ('models=["logistic", "ensemble"]', f"data.observations={path}")
    metrics = run("germany", tmp_path / "run", *changes)
    assert abs(metrics["scores"]["ensemble"]["rpss"]) <= 0.01
    assert abs(metrics["scores"]["logistic"]["rpss"]) <= 0.01


def test_stored_categories_of_an_ensemble_score_as_published() -> None:
    with xr.open_dataset(data_path("s2s/cfsv2_europe_jja_t2m.nc"), engine="netcdf4") as ds:
        codes, truth = ds["forecast_category"].load(), ds["obs_category"].load()
    first = float(min(codes.min(), truth.min()))
    shares = xr.concat([(codes - first == k).mean("realization") for k in range(3)], "category")
    shares = shares.assign_coords(category=list(LABELS[3]))
    assert float(rps(shares, truth - first)) == pytest.approx(0.334426, abs=1e-6)
    assert float(rps_fair(shares, truth - first, members=24)) == pytest.approx(0.325148, abs=1e-6)
    assert np.isfinite(shares).all()
