from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.testing import data_path
from esai_wwtp.emissions import (
    B0,
    DISCHARGES,
    PATHWAYS,
    discharge_methane,
    factor_interval,
    methane,
    organic_load,
)
from esai_wwtp.proxy import CellGrid, distribute
from esai_wwtp.uwwtd import read_uwwtd


def test_national_totals_of_the_guidelines_by_hand() -> None:
    # 64.21 M p.e. x 60 g x 365 d = 1,406.2 kt BOD; x 0.018 = 25.31 kt CH4. 12.07 M p.e. -> 4.76 kt.
    assert organic_load(64.21e6) / 1e6 == pytest.approx(1406.2, rel=1e-4)
    assert methane(64.21e6) / 1e6 == pytest.approx(25.31, rel=2e-4)
    assert methane(12.07e6) / 1e6 == pytest.approx(4.76, rel=1e-3)


def test_published_factors_lie_in_their_ranges_and_near_the_product_of_yield_and_correction() -> None:
    corrections = {
        "centralised_aerobic": 0.03, "anaerobic_reactor": 0.8, "shallow_lagoon": 0.2, "deep_lagoon": 0.8,
        "septic_tank": 0.5, "tier1": 0.11, "river": 0.035, "lake": 0.19,
    }  # fmt: skip
    for name, factor in {**PATHWAYS, **DISCHARGES}.items():
        assert factor.low <= factor.central <= factor.high
        assert factor.central == pytest.approx(B0 * corrections[name], abs=0.0021), name


def test_sludge_and_recovery_are_taken_off() -> None:
    bod = organic_load(1000.0)
    assert methane(1000.0, sludge=0.5 * bod) == pytest.approx(0.5 * methane(1000.0))
    assert methane(1000.0, recovered=methane(1000.0)) == pytest.approx(0.0)
    with pytest.raises(InputError, match="more sludge"):
        methane(1000.0, sludge=2 * bod)
    with pytest.raises(UsageError, match="shallow_lagoon"):
        methane(1.0, pathway="shalow_lagoon")


def test_the_effluent_of_a_secondary_plant_holds_fifteen_percent() -> None:
    assert discharge_methane(1.0, level="secondary", water="river") == pytest.approx(21.9 * 0.15 * 0.021)


def test_interval_adds_errors_in_quadrature() -> None:
    low, high = factor_interval(np.array([100.0]), load=np.array([10.0]), load_interval=([5.0], [20.0]))
    assert low[0] == 0.0  # -90 % of the factor, -30 % of BOD, -50 % of the load
    assert high[0] == pytest.approx(100 * (1 + math.sqrt(2.0**2 + 0.3**2 + 1.0**2)))


def test_the_real_table_is_cleaned_of_its_traps() -> None:
    cleaned = read_uwwtd(data_path("wwtp/uwwtd_plants_iberia_v6.csv"))
    assert cleaned.found["capacity_placeholder"] == 256
    assert cleaned.found["capacity_zero"] == 332
    plants = cleaned.plants
    assert plants["capacity"].max() < 9_999_999
    load = plants.groupby("country")["load"].sum()
    assert load["ES"] == 64_210_523
    assert load["PT"] == 12_068_460
    assert "PIÑEIRA (MONFORTE DE LEMOS)" in set(plants["name"])


def test_latin_1_is_read_too_and_bad_rows_are_named(tmp_path: Path) -> None:
    head = "uwwCode,uwwName,rptMStateKey,uwwLatitude,uwwLongitude,uwwLoadEnteringUWWTP,uwwCapacity,uwwState\n"
    path = tmp_path / "plants.csv"
    path.write_bytes((head + "a,Piñeira,ES,42,-7,100,200,1\n").encode("latin-1"))
    assert read_uwwtd(path).plants["name"][0] == "Piñeira"
    for row, words in {
        "a,x,ES,420,-7,100,200,1": "latitude is 420",
        "a,x,ES,42,-7,-5,200,1": "load of -5",
        "a,x,ES,42,-7,many,200,1": "no number: 'many'",
    }.items():
        path.write_text(head + row + "\n")
        with pytest.raises(InputError, match=words):
            read_uwwtd(path)
    path.write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="no column uwwCode"):
        read_uwwtd(path)


def test_half_open_cells_and_the_plant_on_a_corner() -> None:
    grid = CellGrid.regular(west=0, east=2, south=0, north=2, spacing=1.0)
    rows, columns = grid.locate([0, 1, 1, 2, 0], [0, 1, 0.999, 1, 2])
    assert rows.tolist() == [0, 1, 1, -1, -1]
    assert columns.tolist() == [0, 1, 0, -1, -1]


def test_grid_areas_sum_to_the_sphere() -> None:
    grid = CellGrid.regular(west=-180, east=180, south=-90, north=90, spacing=2.0)
    assert grid.area.sum() == pytest.approx(4 * np.pi * 6_371_008.8**2, rel=1e-12)


def test_a_country_without_a_plant_needs_a_declared_fallback() -> None:
    grid = CellGrid.regular(west=0, east=4, south=0, north=4, spacing=1.0)
    frame = pd.DataFrame({"country": ["A"], "latitude": [1.5], "longitude": [2.5], "ch4": [7.0]})
    with pytest.raises(InputError, match=r"proxy.fallback.B"):
        distribute(frame, grid, totals={"B": 3.0})
    made = distribute(frame, grid, totals={"B": 3.0}, fallback=lambda name: grid.box(0, 0, 2, 2) * grid.area)
    assert made.counts["B"]["fallback"] == 1
    assert made.ch4.sum() == pytest.approx(10.0, rel=1e-14)
    assert made.ch4[1, 2] == pytest.approx(7.0)
    assert set(zip(*np.nonzero(made.weight[1]), strict=True)) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_grid_that_is_no_whole_number_of_cells_is_refused() -> None:
    with pytest.raises(EsaiError, match="whole number of cells"):
        CellGrid.regular(west=0, east=1, south=0, north=1, spacing=0.3)
    with pytest.raises(EsaiError, match="a grid of"):
        CellGrid.regular(west=0, east=1, south=2, north=1, spacing=0.5)
