from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.grid import Grid
from esai_fire.gridding import cells_of, regrid_total


def _field(latitude: np.ndarray, longitude: np.ndarray, *, seed: int = 0, months: int = 2) -> xr.DataArray:
    random = np.random.default_rng(seed)
    return xr.DataArray(
        random.gamma(0.3, 1e8, size=(months, latitude.size, longitude.size)),
        coords={
            "time": pd.date_range("2000-01-01", periods=months, freq="MS"),
            "latitude": latitude,
            "longitude": longitude,
        },
        dims=("time", "latitude", "longitude"),
        name="burned_area",
        attrs={"units": "m2"},
    )


def _shares(source: Grid, target: Grid, i: int, j: int) -> np.ndarray:
    """Share of one source cell's area in each target cell, by areas of the rectangles in common."""

    def area(south: float, north: float, west: float, east: float) -> float:
        if north <= south or east <= west:
            return 0.0
        return np.deg2rad(east - west) * (np.sin(np.deg2rad(north)) - np.sin(np.deg2rad(south)))

    south, north = sorted(source.latitude_bounds[i])
    west, east = sorted(source.longitude_bounds[j])
    whole = area(south, north, west, east)
    made = np.zeros(target.shape)
    for k, (s, n) in enumerate(np.sort(target.latitude_bounds, axis=1)):
        for m, (w, e) in enumerate(np.sort(target.longitude_bounds, axis=1)):
            made[k, m] = area(max(s, south), min(n, north), max(w, west), min(e, east)) / whole
    return made


@pytest.mark.parametrize("step", [0.25, 0.4, 1.0])
def test_totals_are_those_of_rectangles_in_common(step: float) -> None:
    field = _field(np.array([40.3, 39.7, 39.1]), np.array([-120.45, -119.75, -119.05, -118.35]))
    source = Grid.from_dataset(field)
    target = (
        cells_of(source, step) if step != 0.4 else Grid(np.arange(38, 42, 0.4), np.arange(-122, -117, 0.4))
    )
    found = regrid_total(field, target)
    expected = sum(
        field.values[:, i, j][:, None, None] * _shares(source, target, i, j)
        for i in range(3)
        for j in range(4)
    )
    np.testing.assert_allclose(np.nan_to_num(found.values), expected, rtol=1e-9, atol=1.0)
    np.testing.assert_allclose(found.sum(["latitude", "longitude"]), field.sum(["latitude", "longitude"]))
    assert found.attrs == {"units": "m2"}


def test_a_global_field_keeps_its_total_across_the_dateline() -> None:
    field = _field(np.arange(-89.5, 90.0), np.arange(0.5, 360.0))
    target = cells_of(Grid.from_dataset(field), 2.5)
    assert target.shape == (72, 144)
    turned = Grid(target.latitude, np.sort((target.longitude + 180.0) % 360.0 - 180.0))
    for grid in (target, turned):
        found = regrid_total(field, grid)
        np.testing.assert_allclose(float(found.sum()), float(field.sum()), rtol=1e-12)


def test_quarter_degree_cells_are_those_of_firecci() -> None:
    grid = cells_of(Grid(np.arange(30.5, 50.0), np.arange(-125.5, -101.0)), 0.25)
    assert grid.latitude[0] == 30.125
    assert grid.longitude[-1] == -101.125
    with pytest.raises(UsageError, match=r"target.resolution"):
        cells_of(grid, 0.7)


def test_the_sea_adds_nothing_and_an_unknown_part_makes_the_month_unknown() -> None:
    field = _field(np.array([0.25, 0.75, 1.25, 1.75]), np.array([10.25, 10.75, 11.25, 11.75]), months=3)
    field[:, 0, 0] = np.nan  # the sea
    field[1, 3, 3] = np.nan  # a gap
    found = regrid_total(field, cells_of(Grid.from_dataset(field), 1.0))
    assert float(found[0, 0, 0]) == pytest.approx(float(field[0, :2, :2].sum()))
    assert np.isnan(found[1, 1, 1])
    assert int(np.isnan(found).sum()) == 1


def test_grids_apart_are_told() -> None:
    with pytest.raises(InputError, match=r"do not overlap"):
        regrid_total(_field(np.arange(3.0), np.arange(3.0)), Grid(np.arange(50.0, 53.0), np.arange(3.0)))
