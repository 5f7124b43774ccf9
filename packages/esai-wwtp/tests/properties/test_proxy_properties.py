"""Random plants, on edges and across the antimeridian: totals are conserved, and nothing is lost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from esai_wwtp.proxy import CellGrid, distribute

GRIDS = {
    "iberia": CellGrid.regular(west=-10, east=5, south=35, north=44, spacing=0.5),
    "antimeridian": CellGrid.regular(west=170, east=-170, south=-20, north=10, spacing=0.25),
    "pacific_0_360": CellGrid.regular(west=150, east=210, south=-40, north=0, spacing=1.0),
    "globe": CellGrid.regular(west=-180, east=180, south=-90, north=90, spacing=1.0),
    "oblong": CellGrid.regular(west=-18.3, east=-13.1, south=27.4, north=29.6, spacing=(0.1, 0.2)),
}

longitudes = st.one_of(
    st.floats(-180, 360),
    st.integers(-720, 1440).map(lambda n: n / 4),  # edges of cells
    st.sampled_from([-180.0, 180.0, 360.0, 0.0, 170.0, -170.0, 190.0, 179.99999999999997]),
)
latitudes = st.one_of(
    st.floats(-90, 90), st.integers(-360, 360).map(lambda n: n / 4), st.sampled_from([90.0, -90.0])
)
plant = st.tuples(
    st.sampled_from(["ES", "PT", "FJ"]),
    latitudes,
    longitudes,
    st.one_of(st.floats(1e-6, 1e9), st.just(0.0), st.just(float("nan"))),
)


def table(plants: list[tuple[str, float, float, float]]) -> pd.DataFrame:
    return pd.DataFrame(plants, columns=["country", "latitude", "longitude", "ch4"])


@settings(max_examples=150, deadline=None)
@given(st.lists(plant, min_size=1, max_size=40), st.sampled_from(sorted(GRIDS)), st.booleans())
def test_totals_are_conserved_and_plants_counted(
    plants: list[tuple[str, float, float, float]], name: str, excluded: bool
) -> None:
    grid, frame = GRIDS[name], table(plants)
    made = distribute(
        frame,
        grid,
        off_grid="exclude" if excluded else "redistribute",
        fallback=lambda country: np.ones(grid.shape),
    )
    for number, country in enumerate(made.countries):
        own = frame[frame["country"] == country]
        counts = made.counts[country]
        assert counts["assigned"] + counts["off_grid"] + counts["no_emission"] == len(own) == counts["plants"]
        emitted = math.fsum(own["ch4"].dropna())
        assert abs(math.fsum(made.weight[number].ravel()) - (1.0 if emitted > 0 else 0.0)) <= 1e-12
        lost = math.fsum(made.plants.query("country == @country and status == 'off_grid'")["ch4"])
        wanted = emitted - lost if excluded and not counts["fallback"] else emitted
        assert math.isclose(made.totals[country], wanted, rel_tol=1e-9, abs_tol=1e-9 * emitted)
    assert math.isclose(
        math.fsum(made.ch4.ravel()), math.fsum(made.totals.values()), rel_tol=1e-12, abs_tol=1e-300
    )
    assert (made.weight >= 0).all()


@settings(max_examples=150, deadline=None)
@given(latitudes, longitudes, st.sampled_from(sorted(GRIDS)))
def test_a_place_is_in_the_one_cell_whose_half_open_bounds_hold_it(lat: float, lon: float, name: str) -> None:
    grid = GRIDS[name]
    (row,), (column,) = grid.locate([lat], [lon])
    south, north = grid.latitude_edges[:-1], grid.latitude_edges[1:]
    rows = [i for i in range(len(south)) if south[i] <= lat < north[i] or (lat == 90 == north[i])]
    holding = []
    for turn in (-720.0, -360.0, 0.0, 360.0):  # an oracle without modulo: try each turn around the Earth
        west, east = grid.longitude_edges[:-1], grid.longitude_edges[1:]
        holding += [j for j in range(len(west)) if west[j] <= lon + turn < east[j]]
    if rows and holding:
        assert row == rows[0]
        assert column in holding
        assert len(set(holding)) <= 2  # two only where adding 360 rounds onto an edge
    elif (not holding and not (-1e-9 < (lon - grid.longitude_edges[0]) % 360 - 360 < 1e-9)) or not rows:
        assert row == column == -1


def test_the_order_of_the_plants_does_not_matter() -> None:
    random = np.random.default_rng(3)
    frame = table(
        [("ES", *random.uniform([36, -9], [43, 3]), float(random.uniform(0, 5))) for _ in range(60)]
    )
    grid = GRIDS["iberia"]
    first, second = distribute(frame, grid), distribute(frame.sample(frac=1.0, random_state=1), grid)
    np.testing.assert_allclose(first.weight, second.weight, rtol=1e-12)
