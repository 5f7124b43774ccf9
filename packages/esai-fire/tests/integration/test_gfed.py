"""A run on GFED4.1s files of its layout: synthetic, no observation."""

from __future__ import annotations

import json
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest

from esai_core.testing import run_cli
from esai_fire.cli import main
from esai_fire.demo import synthetic_indices

FIRST, LAST = 1997, 2010
SOURCES = ("SAVA", "BORF", "TEMF", "DEFO", "PEAT", "AGRI")


def _write_year(path: Path, share: np.ndarray, area: np.ndarray, region: np.ndarray) -> None:
    """Write one year: burned fraction (12, y, x), dry matter 0.5 kg per m2 burned, savanna and peat alike."""
    rows, columns = area.shape
    latitude, longitude = 90 - 10 * (np.arange(rows) + 0.5), -180 + 10 * (np.arange(columns) + 0.5)
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("y", rows)
        file.createDimension("x", columns)

        def put(name: str, values: np.ndarray, kind: str = "f4") -> None:
            file.createVariable(name, kind, ("y", "x"))[:] = values

        put("lat", np.repeat(latitude[:, None], columns, 1))
        put("lon", np.repeat(longitude[None], rows, 0))
        put("ancill/basis_regions", region, "i2")
        put("ancill/grid_cell_area", area)
        for month in range(1, 13):
            put(f"burned_area/{month:02d}/burned_fraction", share[month - 1])
            put(f"emissions/{month:02d}/DM", 0.5 * share[month - 1])
            for source in SOURCES:
                part = 0.5 if source in ("SAVA", "PEAT") else 0.0
                put(f"emissions/{month:02d}/partitioning/DM_{source}", np.full(area.shape, part))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two regions of a few cells, 14 years; fires of August follow nino34 six months before."""
    root = tmp_path_factory.mktemp("gfed")
    (root / "gfed").mkdir()
    table = synthetic_indices(("nino34", "pdo"), first=FIRST - 2, last=LAST, seed=3)
    table.to_csv(root / "indices.csv")
    random = np.random.default_rng(0)
    area = np.repeat(1e12 * np.cos(np.deg2rad(90 - 10 * (np.arange(18) + 0.5)))[:, None], 36, 1)
    region = np.zeros((18, 36), int)
    region[8:10, 20:23], region[11:13, 5:7] = 9, 5
    season = np.array([0, 0, 0, 0, 0, 1, 2, 4, 2, 1, 0, 0]) / 10
    for year in range(FIRST, LAST + 1):
        signal = np.exp(0.8 * float(table["nino34"].loc[f"{year}-02-01"]))
        noise = random.gamma(10.0, 0.1, size=region.shape)
        share = 0.02 * signal * noise * (region > 0) * season[:, None, None]
        _write_year(root / "gfed" / f"GFED4.1s_{year}.hdf5", share, area, region)
    factors = {"species": ["CO2", "CO"], **{s: [1600.0, 100.0] for s in SOURCES}, "PEAT": [1700.0, 210.0]}
    pd.DataFrame(factors).to_csv(root / "factors.csv", index=False)
    (root / "config.toml").write_text(
        """
schema_version = 1
[data]
burned_area = "gfed"
indices = "indices.csv"
dry_matter = "gfed"
emission_factors = "factors.csv"
[predictors]
indices = ["nino34", "pdo"]
lags = [4, 8]
smooth = 1
[model]
forecasters = ["single"]
stability = 0
[emissions]
species = ["CO", "CO2"]
"""
    )
    return root


def test_regions_of_gfed_and_their_emissions(folder: Path, tmp_path: Path) -> None:
    done = run_cli(main, ["run", folder / "config.toml", "--out", tmp_path / "run"])
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(metrics["by_region"]) == {"total", "SHSA", "SHAF"}
    assert metrics["cells"] == 10
    assert metrics["by_region"]["SHAF"]["stack"]["d2"] > 0.5
    table = pd.read_csv(tmp_path / "run" / "emissions.csv")
    areas = pd.read_csv(tmp_path / "run" / "regions.csv")
    for region in ("SHSA", "SHAF"):
        one = table[(table.species == "CO") & (table.region == region)]
        own = areas[areas.region == region]
        # Half a kilogram burns per m2, one half savanna (100 g per kg) and one half peat (210).
        np.testing.assert_allclose(one["emission"], own["stack"] * 0.5 * 0.155, rtol=1e-4)
        np.testing.assert_allclose(one["observed"], own["observed"] * 0.5 * 0.155, rtol=1e-4)
    species = metrics["emissions"]["by_species"]
    assert species["CO"]["by_region"]["SHAF"]["stack"]["d2"] > 0.5
    monthly = pd.read_csv(tmp_path / "run" / "emissions_monthly.csv")
    assert set(monthly["region"]) == {"total", "SHSA", "SHAF"}


def test_fire_in_a_cell_without_area_is_told(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "GFED4.1s_1997.hdf5"
    path.write_bytes((folder / "gfed" / path.name).read_bytes())
    with netCDF4.Dataset(path, "a") as file:
        file["ancill/grid_cell_area"][8, 20] = 0.0
    out = tmp_path / "run"
    done = run_cli(main, ["run", folder / "config.toml", "--out", out, "--set", f"data.burned_area={path}"])
    assert done.code == 3
    assert "Traceback" not in done.err
    assert not out.exists()
    assert "fire in a cell of area 0" in done.error
    assert "5 N, 25 E" in done.error
