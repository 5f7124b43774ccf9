"""The command line on files: the demo, live starts, and what a user may get wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.testing import assert_light_cli, run_cli
from esai_s2s.cli import main
from esai_s2s.demo import toy_index

CONFIG = """\
models = ["raw", "logistic", "emos", "ensemble"]
[data]
forecast = "toy.nc"
observations = "toy.nc"
variables = ["index"]
[edges]
group = "none"
[split]
inner = 3
"""


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a config and the run folder made from it."""
    folder = tmp_path_factory.mktemp("toy")
    toy_index().to_netcdf(folder / "toy.nc", engine="netcdf4")
    (folder / "toy.toml").write_text(CONFIG)
    done = run_cli(main, ["run", folder / "toy.toml", "--out", folder / "run"])
    assert done.code == 0, done.err
    assert Path(done.last) == folder / "run" / "report.html"
    return folder / "toy.toml", folder / "run"


def test_help_is_light() -> None:
    assert_light_cli("esai_s2s", verbs=["run", "demo", "submit"])


def test_a_run_scores_every_method_and_window(toy: tuple[Path, Path]) -> None:
    metrics = json.loads((toy[1] / "metrics.json").read_text())
    assert metrics["delivered"] == "ensemble"
    assert list(metrics["by_lead"]) == ["14d", "28d"]
    for table in (metrics["scores"], *metrics["by_lead"].values()):
        assert set(table) == {"climatology", "raw", "logistic", "emos", "ensemble"}
        assert table["climatology"]["rpss"] == pytest.approx(0)
        best = max(row["rpss"] for row in table.values())
        assert table["ensemble"]["rpss"] > best - 0.02
        assert table["raw"]["rpss_fair"] > table["raw"]["rpss"]
        assert table["logistic"]["rpss_fair"] == pytest.approx(table["logistic"]["rpss"])
    assert metrics["by_lead"]["14d"]["logistic"]["rpss"] > metrics["by_lead"]["28d"]["logistic"]["rpss"] > 0.1
    with xr.open_dataset(toy[1] / "forecast.nc", engine="netcdf4") as forecast:
        np.testing.assert_allclose(forecast["index"].sum("category"), 1, atol=1e-6)
        assert forecast["index"].dims == ("category", "start", "window")


def test_a_new_start_is_forecast_without_observations(toy: tuple[Path, Path], tmp_path: Path) -> None:
    ds = toy_index(seed=5, winters=1).drop_vars("index_obs").isel(forecast_time=slice(0, 4))
    ds = ds.assign_coords(forecast_time=ds["forecast_time"] + np.timedelta64(20 * 365, "D"))
    ds.to_netcdf(tmp_path / "new.nc", engine="netcdf4")
    for key, count in (("live", 1), ("forecast", 4)):
        out = tmp_path / key
        done = run_cli(main, ["predict", toy[1], "--set", f"data.{key}={tmp_path / 'new.nc'}", "--out", out])
        assert done.code == 0, done.err
        with xr.open_dataset(out / "forecast.nc", engine="netcdf4") as made:
            assert made.sizes["start"] == count
            assert made["start"].values[-1] == ds["forecast_time"].values[-1]
            np.testing.assert_allclose(made["index"].sum("category"), 1, atol=1e-6)


def test_only_the_named_winters_are_tested(toy: tuple[Path, Path], tmp_path: Path) -> None:
    done = run_cli(main, ["run", toy[0], "--out", tmp_path / "run", "--set", "split.test=[2010, 2012]"])
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["split"]["test_blocks"] == ["2010", "2011", "2012"]
    assert metrics["cases"] == 3 * 25 * 2


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ("split.blocks=year", 2, "allow_torn_seasons"),
        ("split.test=[1990, 1991]", 2, "the data has 2001 to 2012"),
        ('data.variables=["indx"]', 3, "did you mean 'index'"),
        ("data.forecast=missing.nc", 3, "no such file"),
        ('models=["logit"]', 2, "models"),
        ("data.windows={far=[60, 70]}", 3, "reach none of the windows"),
    ],
)
def test_a_mistake_is_one_clear_line(
    toy: tuple[Path, Path], tmp_path: Path, change: str, code: int, message: str
) -> None:
    done = run_cli(main, ["run", toy[0], "--out", tmp_path / "run", "--set", change])
    assert (done.code, message in done.error) == (code, True), done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "run").exists()


def test_fetch_prints_requests_for_the_s2s_archive_and_the_observations() -> None:
    done = run_cli(main, ["fetch", "--dry-run"])
    assert done.code == 0, done.err
    assert "s2s" in done.out
    assert "cpc_global_precip" in done.out
