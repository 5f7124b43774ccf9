"""The shipped examples on real data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from esai_core.explain import Drivers
from esai_core.testing import data_path, run_cli
from esai_fire.cli import main

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, out: Path, *changes: str) -> dict[str, Any]:
    done = run_cli(
        main, ["run", EXAMPLES / f"{name}.toml", "--out", out, *(f"--set={item}" for item in changes)]
    )
    assert done.code == 0, done.err
    return json.loads((out / "metrics.json").read_text())


def test_emissions_from_the_published_tables(tmp_path: Path) -> None:
    data_path("fire/GFED4_Emission_Factors.csv")
    metrics = run("emissions", tmp_path / "run")
    assert metrics["closure"]["CO"]["max_percent"] <= 1.5
    assert metrics["scores"]["source_factors"]["d2"] > metrics["scores"]["one_factor"]["d2"]
    assert metrics["interval"]["CO"]["coverage"] > 0.9
    first = Drivers.load(tmp_path / "run" / "drivers.json").attributions[0]
    table = pd.read_csv(tmp_path / "run" / "emissions.csv").query("species == 'CO2' and region == 'Global'")
    mean = table["emission"].sum() / (len(table) * len(first.by))
    assert first.values.sum() == pytest.approx(mean, rel=1e-6)


def test_gfed_regions_and_what_they_emit(tmp_path: Path) -> None:
    data_path("fire/gfed41s_dm_region_annual_1997_2011.csv")
    metrics = run("gfed_regions", tmp_path / "run", "model.stability=0")
    assert metrics["by_region"]["EQAS"]["stack"]["d2"] > 0.4
    assert metrics["scores"]["stack"]["d2"] > -0.1
    species = metrics["emissions"]["by_species"]
    assert list(species) == ["CO2", "CO", "CH4", "NOx", "PM2.5", "OC", "BC"]
    assert species["CO"]["by_region"]["EQAS"]["stack"]["d2"] > 0.4
    assert 0.8 <= species["CO"]["coverage"] <= 1.0
    table = pd.read_csv(tmp_path / "run" / "emissions.csv")
    published = pd.read_csv(data_path("fire/gfed41s_co_region_annual_1997_2011.csv")).set_index("year")
    own = table[(table.species == "CO") & (table.region == "Global")].set_index("when")
    assert (own["observed"] / published["Global"] - 1.0).abs().max() <= 0.015
    assert (table["lower"] <= table["emission"]).all()


def test_western_us_in_short(tmp_path: Path) -> None:
    """The example as it is shipped, without the half samples; about 45 s of one core."""
    data_path("fire/wumi_burned_area_1deg_monthly_1984_2012.nc")
    metrics = run("western_us", tmp_path / "run", "model.stability=0")
    assert metrics["scores"]["stack"]["d2"] >= 0.0
    total = metrics["by_region"]["total"]
    assert total["stack"]["d2"] > total["trend"]["d2"]
    assert metrics["kkt_max"] <= 1e-4
    assert metrics["cells"] > 150
