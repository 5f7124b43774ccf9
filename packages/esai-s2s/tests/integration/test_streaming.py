"""Cells in chunks, in processes and on a dask cluster: the same numbers; several models with gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from esai_core.config import validate_config
from esai_core.testing import run_cli
from esai_s2s import S2sConfig
from esai_s2s.cli import main
from esai_s2s.config import SyntheticConfig
from esai_s2s.data import open_samples
from esai_s2s.streaming import make_layout
from esai_s2s.synthetic import land_mask, make_fields, synthetic_grid
from esai_s2s.windows import kind_of

CONFIG = """\
models = ["raw", "logistic", "forest", "emos", "ensemble"]
[data]
variables = ["t2m", "tp"]
dry_edge = 0.01
chunk_cells = 10000
[data.synthetic]
spacing = 30
years = 5
members = 3
[edges]
group = "month"
window = 1
[split]
test = 2003
inner = 2
[model]
trees = 8
leaf = 50
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("globe") / "globe.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def whole(config: Path) -> Path:
    """Return a run in one process and one chunk."""
    return run(config, config.parent / "whole")


def run(config: Path, out: Path, *words: str) -> Path:
    done = run_cli(main, ["run", config, "--out", out, *words])
    assert done.code == 0, done.err
    return out


def assert_same(one: Path, other: Path) -> None:
    """Compare scores, weights and fields; sums over chunks differ in the order of their terms alone."""
    a, b = (json.loads((path / "metrics.json").read_text()) for path in (one, other))
    for method, scores in a["scores"].items():
        for name, value in scores.items():
            assert b["scores"][method][name] == pytest.approx(value, abs=1e-9), (method, name)
    assert a["cases"] == b["cases"]
    for name in ("t2m_14d", "tp_28d"):
        weights = [
            json.loads((p / "model" / name / "ensemble.json").read_text())["weights"] for p in (one, other)
        ]
        assert weights[0] == pytest.approx(weights[1], abs=1e-9)
    with (
        xr.open_dataset(one / "forecast.nc", engine="netcdf4") as first,
        xr.open_dataset(other / "forecast.nc", engine="netcdf4") as second,
    ):
        xr.testing.assert_allclose(first, second, atol=1e-6)


def test_the_whole_run_is_scored_and_the_sea_is_climatology(whole: Path) -> None:
    metrics = json.loads((whole / "metrics.json").read_text())
    spec = SyntheticConfig(spacing=30, years=5, members=3)
    land = land_mask(spec)
    assert metrics["by_lead"]["14d"]["logistic"]["rpss"] > 0.02
    assert metrics["scores"]["raw"]["rpss"] < metrics["scores"]["logistic"]["rpss"]
    with xr.open_dataset(whole / "forecast.nc", engine="netcdf4") as forecast:
        assert forecast["t2m"].dims == ("category", "start", "window", "latitude", "longitude")
        np.testing.assert_allclose(forecast["t2m"].sum("category"), 1, atol=1e-6)
        sea = forecast["t2m"].values[:, :, :, ~land]
        np.testing.assert_allclose(sea, 1 / 3, atol=1e-6)
        assert np.ptp(forecast["t2m"].values[:, :, :, land]) > 0.1
    with xr.open_dataset(whole / "diagnostics" / "t2m_14d.nc", engine="netcdf4") as found:
        assert found.sizes["cell"] == land.sum()
        assert found["rpss"].dims == ("method", "cell")


def test_chunks_and_processes_give_the_same_numbers(config: Path, whole: Path, tmp_path: Path) -> None:
    words = ["--set", "data.chunk_cells=12", "--workers", "2"]
    assert_same(whole, run(config, tmp_path / "run", *words))
    assert len(list((tmp_path / "run" / "verification" / "t2m_14d").glob("*.nc"))) > 1


def test_a_dask_cluster_gives_the_same_numbers(config: Path, whole: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    words = ["--set", "data.chunk_cells=12", "--cluster", "local:2"]
    assert_same(whole, run(config, tmp_path / "run", *words))


def test_rows_are_the_same_whichever_others_are_made() -> None:
    spec = SyntheticConfig(spacing=30, years=4, members=2)
    windows = {"14d": (14, 27), "28d": (28, 41)}
    for name in ("t2m", "tp"):

        def made(rows: slice, name: str = name) -> list[xr.DataArray]:
            return list(make_fields(spec, name, kind=kind_of(name), windows=windows, rows=rows))

        for whole_, part in zip(made(slice(None)), made(slice(2, 4)), strict=True):
            xr.testing.assert_identical(whole_.isel(latitude=slice(2, 4)), part)
    latitude, longitude = synthetic_grid(SyntheticConfig())
    assert (len(latitude), len(longitude)) == (121, 240)
    share = (land_mask(SyntheticConfig()) * np.cos(np.deg2rad(latitude))[:, None].clip(0)).mean()
    assert share / np.cos(np.deg2rad(latitude)).mean() == pytest.approx(0.3, abs=0.01)


def files(folder: Path) -> dict[str, Any]:
    """Write a truth and three forecast models: whole, to day 32, and ending early with every other start."""
    rng = np.random.default_rng(1)
    starts = np.concatenate(
        [np.datetime64(f"{2000 + year}-01-06") + 7 * np.arange(20) for year in range(8)]
    ).astype("datetime64[ns]")
    days = np.datetime64("2000-01-01", "ns") + np.arange(3000) * np.timedelta64(1, "D")
    truth = np.convolve(rng.normal(size=3029), np.ones(30), "valid") / 5
    xr.Dataset({"t2m": ("time", truth)}, {"time": days}).to_netcdf(folder / "obs.nc", engine="netcdf4")
    at = np.searchsorted(days, starts)[:, None] + np.arange(45)
    signal = truth[at]

    def write(name: str, rows: np.ndarray, members: int, last: int, noise: float) -> None:
        values = signal[rows, None, :last] + noise * rng.normal(size=(len(rows), members, last)) + 3.0
        values += noise * rng.normal(size=(len(rows), 1, 1))
        ds = xr.Dataset(
            {"t2m": (("start", "number", "lead"), values.astype(np.float32))},
            {"start": starts[rows], "lead": np.arange(last)},
        )
        ds.to_netcdf(folder / f"{name}.nc", engine="netcdf4")

    everything = np.arange(len(starts))
    write("whole", everything, 6, 45, 1.0)
    write("short", everything, 4, 32, 0.5)
    write("early", everything[:90:2], 3, 45, 0.5)
    return {
        "data": {
            "forecast": {name: f"{name}.nc" for name in ("whole", "short", "early")},
            "observations": "obs.nc",
            "variables": ["t2m"],
        },
        "edges": {"group": "none"},
        "models": ["raw", "logistic", "emos", "ensemble"],
        "split": {"inner": 3},
    }


def test_models_with_other_members_leads_and_years_are_joined_case_by_case(tmp_path: Path) -> None:
    config = validate_config(files(tmp_path), S2sConfig, folder=tmp_path)
    near, far = open_samples(config)
    assert near.sources == (("whole", 6), ("short", 4), ("early", 3))
    assert near.forecast is not None
    assert far.forecast is not None
    there = ~np.isnan(near.forecast[:, :, 0])
    assert there[:, :10].all()
    assert there[:90:2, 10:].all()
    assert not there[1:90:2, 10:].any()
    assert not there[90:, 10:].any()
    assert np.isnan(far.forecast[:, 6:10]).all()
    assert near.of_source(1).forecast.shape == (160, 4, 1)  # type: ignore[union-attr]
    assert len(make_layout(config, "t2m").chunks) == 1


def test_a_multi_model_run_beats_its_first_model_and_forecasts_without_one(tmp_path: Path) -> None:
    from esai_core.config import dump_toml

    config = validate_config(files(tmp_path), S2sConfig, folder=tmp_path)
    (tmp_path / "all.toml").write_text(dump_toml(config))
    several = run(tmp_path / "all.toml", tmp_path / "all")
    one = run(tmp_path / "all.toml", tmp_path / "one", "--set", 'data.forecast="whole.nc"')
    scores = [json.loads((path / "metrics.json").read_text()) for path in (several, one)]
    assert scores[0]["cases"] == scores[1]["cases"]  # no case is lost for want of a model
    for method in ("raw", "logistic", "emos"):
        ours, alone = (s["by_lead"]["14d"][method]["rpss"] for s in scores)
        assert ours > alone + 0.01, method
    report = (several / "report.html").read_text()
    assert "short: mean" in report  # importances of each model
    new = tmp_path / "new.nc"
    with xr.open_dataset(tmp_path / "whole.nc", engine="netcdf4") as ds:
        late = ds.isel(start=[-1])
        late.assign_coords(start=late["start"] + np.timedelta64(7, "D")).to_netcdf(new, engine="netcdf4")
    (tmp_path / "obs.nc").unlink()  # new starts need no observations
    words = ["--set", f'data.live={{whole="{new}"}}', "--out", tmp_path / "live"]
    done = run_cli(main, ["predict", several, *words])
    assert done.code == 0, done.err
    with xr.open_dataset(tmp_path / "live" / "forecast.nc", engine="netcdf4") as made:
        assert made.sizes["start"] == 1
        np.testing.assert_allclose(made["t2m"].sum("category"), 1, atol=1e-6)
