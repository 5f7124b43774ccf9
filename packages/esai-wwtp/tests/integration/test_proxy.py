"""The verb proxy on small made-up tables: fallbacks, a population to compare with, plants of a run."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import xarray as xr
from shapely import box

from esai_core.testing import run_cli
from esai_wwtp.cli import main

HEAD = "uwwCode,uwwName,rptMStateKey,uwwLatitude,uwwLongitude,uwwLoadEnteringUWWTP,uwwCapacity,uwwState\n"
ROWS = """\
a,A,ES,40.0,-4.0,1000,2000,1
b,B,ES,40.55,-3.95,3000,9999999,1
c,C,ES,28.0,-16.0,1000,0,1
d,D,ES,41,-3,,,0
"""
CONFIG = """
[proxy]
plants = "plants.csv"
population = "population.nc"
year = 2020

[proxy.grid]
west = -6.0
east = -2.0
south = 38.0
north = 42.0
spacing = 0.5

[proxy.totals.PT]
ch4_kt = 2.0

[proxy.fallback.PT]
bounds = [-6.0, 38.0, -5.0, 42.0]
by = "population"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plants.csv").write_text(HEAD + ROWS)
    lat, lon = np.arange(38.05, 42, 0.1), np.arange(-5.95, -2, 0.1)
    people = np.full((len(lat), len(lon)), 2.0)
    people[:, lon < -5.5] = 6.0
    population = xr.Dataset(
        {"population": (("latitude", "longitude"), people)}, coords={"latitude": lat, "longitude": lon}
    )
    population["population"].attrs["units"] = "1"
    population.to_netcdf(tmp_path / "population.nc", engine="netcdf4")
    (tmp_path / "proxy.toml").write_text(CONFIG)
    return tmp_path


def opened(out: Path) -> tuple[xr.Dataset, dict]:
    with xr.open_dataset(out / "proxy.nc", engine="netcdf4") as proxy:
        return proxy.load(), json.loads((out / "metrics.json").read_text())


def test_counts_fallback_and_population(folder: Path) -> None:
    out = folder / "out"
    done = run_cli(main, ["proxy", folder / "proxy.toml", "--out", out])
    assert done.code == 0, done.err
    proxy, metrics = opened(out)
    spain = metrics["by_country"]["ES"]["plants"]
    assert {key: spain[key] for key in ("plants", "assigned", "off_grid", "no_emission", "fallback")} == {
        "plants": 4, "assigned": 2, "off_grid": 1, "no_emission": 1, "fallback": 0,
    }  # fmt: skip
    assert spain["off_grid_share"] == pytest.approx(0.2)
    # the whole total goes to the plants on the grid; 1 kt of it is 5,000 p.e. x 21.9 kg x 0.018
    assert spain["ch4_kt"] * 1e6 == pytest.approx(5000 * 21.9 * 0.018)
    weight = proxy["weight"].sel(country="ES")
    assert float(weight.sel(latitude=40.25, longitude=-3.75)) == pytest.approx(0.25)  # on two edges
    assert float(weight.sel(latitude=40.75, longitude=-3.75)) == pytest.approx(0.75)
    fallback = proxy["weight"].sel(country="PT")
    assert float(fallback.sum()) == pytest.approx(1.0, abs=1e-12)
    assert float(fallback.where(proxy.longitude < -5, 0).sum()) == pytest.approx(1.0)
    west, east = (float(fallback.sel(longitude=x).sum()) for x in (-5.75, -5.25))
    assert west == pytest.approx(3 * east)
    assert float(proxy["ch4"].sum()) == pytest.approx(2e6 + 5000 * 21.9 * 0.018)
    assert 0 < metrics["scores"]["population"]["overlap"] < 1


def test_a_share_off_the_grid_can_be_left_out(folder: Path) -> None:
    out = folder / "out"
    words = ["--set", 'proxy.off_grid="exclude"']
    assert run_cli(main, ["proxy", folder / "proxy.toml", "--out", out, *words]).code == 0
    _, metrics = opened(out)
    assert metrics["by_country"]["ES"]["plants"]["ch4_kt"] * 1e6 == pytest.approx(4000 * 21.9 * 0.018)


def test_a_country_without_a_fallback_is_one_clear_line(folder: Path) -> None:
    words = ["--set", "proxy.totals.FR.ch4_kt=1.0"]
    done = run_cli(main, ["proxy", folder / "proxy.toml", "--out", folder / "out", *words])
    assert done.code == 3
    assert "no plant of FR on the grid" in done.error
    assert "[proxy.fallback.FR]" in done.error


def test_plants_of_a_run_are_taken(folder: Path) -> None:
    shapes = [
        box(3_200_000, 2_000_000, 3_200_300, 2_000_300),
        box(3_250_000, 2_050_000, 3_250_100, 2_050_300),
    ]
    plants = geopandas.GeoDataFrame(
        {"load": [1e4, 3e4], "load_low": [5e3, 1e4], "load_high": [2e4, 9e4]}, geometry=shapes, crs=3035
    )
    plants.to_parquet(folder / "plants.parquet")
    words = ["--set", 'proxy.plants="plants.parquet"', "--set", 'proxy.country="ES"']
    done = run_cli(main, ["proxy", folder / "proxy.toml", "--out", folder / "out", *words], cwd=folder)
    assert done.code == 0, done.err
    proxy, _ = opened(folder / "out")
    assert sorted(proxy["weight"].sel(country="ES").values.ravel())[-2:] == pytest.approx([0.25, 0.75])
    plants.drop(columns=["load", "load_low", "load_high"]).to_parquet(folder / "plants.parquet")
    done = run_cli(main, ["proxy", folder / "proxy.toml", "--out", folder / "o2", *words], cwd=folder)
    assert (done.code, "plants without a load" in done.error) == (3, True)
