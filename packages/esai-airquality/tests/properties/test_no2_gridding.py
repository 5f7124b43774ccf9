from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from esai_airquality.no2.gridding import Gridder, overlaps
from esai_core.grid import Grid


def pixels(rng: np.random.Generator, count: int, *, around: tuple[float, float] = (45.0, 9.0)) -> tuple:
    """Convex quadrilaterals of any slant."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, (count, 4)), axis=1)
    size = rng.uniform(0.03, 0.4, (count, 1))
    lat = around[0] + rng.uniform(-1, 1, (count, 1)) + size * np.sin(angle)
    lon = around[1] + rng.uniform(-1, 1, (count, 1)) + size * np.cos(angle)
    return lat, lon


def cylinder(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    return np.stack([np.radians(lon), np.sin(np.radians(lat))], axis=-1)


@given(seed=st.integers(0, 10_000), step=st.sampled_from([0.07, 0.1, 0.25, 0.9]))
@settings(max_examples=25, deadline=None)
def test_shared_areas_equal_those_of_polygons(seed: int, step: float) -> None:
    lat, lon = pixels(np.random.default_rng(seed), 8)
    grid = Grid(np.arange(44.2, 45.8, step), np.arange(8.3, 9.9, step), (step, step))
    pixel, row, column, area = overlaps(lat, lon, grid)
    found = np.zeros((8, *grid.shape))
    found[pixel, row, column] = area
    polygons = shapely.polygons(cylinder(lat, lon))
    (y0, y1), (x0, x1) = np.sin(np.radians(grid.latitude_bounds)).T, np.radians(grid.longitude_bounds).T
    boxes = shapely.box(*np.broadcast_arrays(x0[None], y0[:, None], x1[None], y1[:, None]))
    expected = shapely.area(shapely.intersection(polygons[:, None, None], boxes[None]))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-16)


@given(seed=st.integers(0, 10_000), turns=st.sampled_from([-360.0, 0.0, 360.0]))
@settings(max_examples=20, deadline=None)
def test_nothing_is_lost(seed: int, turns: float) -> None:
    rng = np.random.default_rng(seed)
    lat, lon = pixels(rng, 30)
    values = rng.normal(3, 5, 30)
    grid = Grid(np.arange(46.8, 43.1, -0.13), np.arange(7.05, 11, 0.11))
    gridder = Gridder(grid)
    gridder.add(lat[:11], lon[:11] + turns, values[:11])
    gridder.add(lat[11:], lon[11:], values[11:])
    result = gridder.result()
    cells = np.abs(np.diff(np.sin(np.radians(grid.latitude_bounds)))) * np.radians(0.11)
    amount = np.nansum(result.mean * result.weight * cells)
    area = shapely.area(shapely.polygons(cylinder(lat, lon)))
    assert amount == pytest.approx((area * values).sum(), rel=1e-8)
    assert (result.weight * cells).sum() == pytest.approx(area.sum(), rel=1e-8)
    assert np.isnan(result.mean[result.count == 0]).all()


def test_a_descending_grid_gives_the_same_turned() -> None:
    rng = np.random.default_rng(3)
    lat, lon = pixels(rng, 40)
    values, errors = rng.normal(size=40), rng.uniform(0.1, 1, 40)
    axes = np.arange(44.1, 46, 0.2), np.arange(8.1, 10, 0.2)
    results = []
    for grid in (Grid(*axes), Grid(axes[0][::-1], axes[1])):
        gridder = Gridder(grid)
        gridder.add(lat, lon, values, errors)
        results.append(gridder.result())
    for name in ("mean", "error", "weight", "count"):
        np.testing.assert_array_equal(getattr(results[0], name), getattr(results[1], name)[::-1])


def test_the_dateline_is_no_border() -> None:
    lat = np.array([[0.0, 0.0, 1.0, 1.0]])
    lon = np.array([[179.5, -179.5, -179.5, 179.5]])
    west = Gridder(Grid(np.array([0.5]), np.array([-179.75]), (1.0, 0.5)))
    globe = Gridder(Grid(np.array([0.5]), np.arange(-179.75, 180, 0.5), (1.0, 0.5)))
    for gridder in (west, globe):
        gridder.add(lat, lon, np.array([7.0]))
    assert west.result().mean == pytest.approx(7.0)
    whole = globe.result()
    np.testing.assert_array_equal(np.flatnonzero(whole.count[0]), [0, 719])
    assert whole.weight.sum() == pytest.approx(2.0)


def test_errors_of_pixels_fall_with_their_number_and_missing_ones_are_left_out() -> None:
    lat, lon = np.array([[0, 0, 1, 1]] * 5, float), np.array([[0, 1, 1, 0]] * 5, float)
    gridder = Gridder(Grid(np.array([0.5]), np.array([0.5])))
    gridder.add(lat, lon, np.array([1, 2, 3, 4, np.nan]), np.full(5, 0.8))
    result = gridder.result()
    assert result.mean[0, 0] == pytest.approx(2.5)
    assert result.error[0, 0] == pytest.approx(0.4)
    assert result.weight[0, 0] == pytest.approx(4.0)
    gridder.add(np.array([[89.0, 89, 89, 89]]), np.array([[0.0, 90, 180, 270]]), np.array([1.0]))
    assert gridder.left_out == 1
