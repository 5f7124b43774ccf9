"""The two examples on real data: the published figures of the baselines, and networks that beat them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import xarray as xr

from esai_core.config import load_config
from esai_core.testing import data_path, run_cli
from esai_seasonal.cli import main
from esai_seasonal.config import SeasonalConfig

EXAMPLES = Path(__file__).parents[2] / "examples"

# Colombia, fitted on starts 1981-2002, scored on 2003-2008: RMSE, CRPS, fair CRPS, bias (K)
TABLE = {
    "raw": (1.723, 1.064, 1.057, -0.45),
    "climatology": (0.611, 0.346, 0.332, -0.41),
    "trend_climatology": (0.514, 0.277, 0.264, -0.04),
    "mean_bias": (0.554, 0.329, 0.322, -0.35),
    "mean_variance": (0.544, 0.321, 0.314, -0.35),
    "eqm": (0.541, 0.328, 0.323, -0.36),
    "trend_bias": (0.445, 0.253, 0.246, -0.07),
    "mlr": (0.436, 0.244, 0.236, -0.06),
}


@pytest.fixture(scope="module")
def colombia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_path("seasonal/seas5_t2m_monthly_colombia_1981-2008.nc")
    out = tmp_path_factory.mktemp("colombia") / "run"
    done = run_cli(main, ["run", EXAMPLES / "colombia.toml", "--out", out])
    assert done.code == 0, done.err
    assert done.last == str(out / "report.html")
    return out


def test_colombia_baselines_are_those_of_the_table(colombia: Path) -> None:
    scores = json.loads((colombia / "metrics.json").read_text())["scores"]
    for method, (rmse, crps, fair, bias) in TABLE.items():
        assert scores[method]["rmse"] == pytest.approx(rmse, abs=0.002), method
        assert scores[method]["crps"] == pytest.approx(crps, abs=0.002), method
        assert scores[method]["crps_fair"] == pytest.approx(fair, abs=0.002), method
        assert scores[method]["bias"] == pytest.approx(bias, abs=0.006), method


def test_colombia_delivers_better_than_the_best_baseline(colombia: Path) -> None:
    metrics = json.loads((colombia / "metrics.json").read_text())
    delivered = metrics["scores"][metrics["delivered"]]
    assert delivered["rmse"] < 0.436
    assert delivered["crps"] < 0.244
    validation = metrics["selection"]["validation"]
    assert metrics["delivered"] == min(validation, key=lambda m: validation[m]["crps"])
    assert metrics["split"]["test"] == [2003, 2008]


def test_colombia_ensemble_is_on_the_grid_of_the_reference(colombia: Path) -> None:
    with xr.open_dataset(colombia / "forecast.nc", engine="netcdf4") as ds:
        assert dict(ds.sizes) == {"start": 72, "lead": 6, "number": 25, "latitude": 13, "longitude": 17}
        assert ds["t2m"].notnull().all()


def test_uk_networks_beat_interpolation_and_the_adversarial_one_has_more_of_the_small_scales(
    tmp_path: Path,
) -> None:
    data_path("seasonal/era5_t2m_hourly_uk_20190301-24.nc")
    less = [f"--set={item}" for item in ("model.networks=1", "train.epochs=8", "adversarial.epochs=5")]
    done = run_cli(main, ["run", EXAMPLES / "uk_adversarial.toml", "--out", tmp_path / "uk", *less])
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "uk" / "metrics.json").read_text())
    rmse = {name: row["rmse"] for name, row in metrics["scores"].items()}
    baselines = {"bilinear", "bicubic", "lapse_rate", "residual_climatology"}
    assert set(rmse) == baselines | {"network", "adversarial"}
    assert rmse["bilinear"] == pytest.approx(0.506, abs=0.001)
    assert rmse["residual_climatology"] == pytest.approx(0.393, abs=0.001)
    assert rmse["network"] < 0.9 * min(rmse["bicubic"], rmse["residual_climatology"])
    assert rmse["adversarial"] < 1.1 * rmse["network"]
    power = metrics["realism"]["power_ratio"]
    assert abs(power["adversarial"] - 1) < abs(power["network"] - 1)
    assert metrics["realism"]["draws"]["spread_skill"] > 0
    assert metrics["delivered"] == "adversarial"
    report = (tmp_path / "uk" / "report.html").read_text()
    assert ">Realism<" in report


def test_the_uk_examples_differ_by_the_adversarial_part_alone() -> None:
    plain, opposed = (
        load_config(EXAMPLES / f"uk_{name}.toml", SeasonalConfig)
        for name in ("superresolution", "adversarial")
    )
    asked = opposed.model.model_copy(update={"adversarial": False})
    changed = {"model": asked, "adversarial": plain.adversarial}
    assert opposed.model_copy(update=changed) == plain
