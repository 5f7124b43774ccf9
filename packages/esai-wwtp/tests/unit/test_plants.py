"""Pieces against scipy on the whole scene, measures against closed forms, duplicates."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.crs import CRS
from scipy import ndimage
from shapely import affinity, box

from esai_wwtp.fitting import best_threshold
from esai_wwtp.geo import from_corner, shifted, to_pixels, to_places
from esai_wwtp.plants import Piece, drop_duplicates, find_pieces, mask_of, measure, outline_plants
from esai_wwtp.rasters import as_bytes, as_probability, said
from esai_wwtp.reflectance import Scaling
from esai_wwtp.scenes import Scene, Window


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 200), st.integers(1, 200), st.integers(0, 4))
def test_pieces_are_those_of_the_whole_scene(seed: int, rows: int, columns: int, close: int) -> None:
    random = np.random.default_rng(seed)
    mask = np.zeros((rows, columns), bool)
    for _ in range(random.integers(0, 12)):
        r, c = random.integers(0, [rows, columns])
        mask[r : r + random.integers(1, 30), c : c + random.integers(1, 30)] = True
    pieces = find_pieces(mask, close=close, min_pixels=5)
    expected = mask
    if close:
        disc = np.hypot(*np.mgrid[-close : close + 1, -close : close + 1]) <= close + 0.5
        expected = ndimage.binary_closing(np.pad(mask, 10), structure=disc)[10:-10, 10:-10]
    labels, count = ndimage.label(expected, structure=np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    assert sorted(int(p.mask.sum()) for p in pieces) == sorted(sizes[sizes >= 5].tolist())
    kept = np.isin(labels, np.flatnonzero(sizes >= 5) + 1)
    np.testing.assert_array_equal(mask_of(pieces, mask.shape), kept)


def toy_place(values: NDArray[np.uint16]) -> Scene:
    place = (CRS.from_epsg(32630), from_corner(500_000, 4_500_000, 10))
    return Scene(
        "a", ("B02", "B03", "B04", "B08"), Scaling(), values=values, place=place, sensed="2023-01-02"
    )


def test_a_rectangle_is_measured_as_it_is() -> None:
    values = np.full((60, 80, 4), 2000, np.uint16)
    values[10:20, 10:20] = [900, 800, 500, 200]  # water in a fifth of the outline
    own = np.ones((10, 50), bool)
    stored = np.full((60, 80), 200, np.uint8)
    plants = outline_plants([Piece(Window(10, 20, 10, 60), own)], stored, toy_place(values), crs="EPSG:3035")
    row = plants.iloc[0]
    assert row["pixels"] == 500
    assert row["area_m2"] == pytest.approx(50_000, rel=0.005)  # UTM is not equal-area
    assert row["perimeter_m"] == pytest.approx(1200, rel=0.01)
    assert row["elongation"] == pytest.approx(5.0, rel=0.01)
    assert row["water_fraction"] == pytest.approx(0.2)
    assert row["probability"] == pytest.approx(0.8)
    assert (row["scene"], row["sensed"]) == ("a", "2023-01-02")


@pytest.mark.parametrize("angle", [0, 30, 90, 145])
def test_orientation_is_that_of_the_longer_side(angle: float) -> None:
    shape = affinity.rotate(box(0, 0, 900, 300), angle)
    row = measure(geopandas.GeoDataFrame({"x": [1]}, geometry=[shape], crs=3035), step=10.0).iloc[0]
    assert row["orientation_deg"] % 180 == pytest.approx(angle % 180, abs=1e-6)
    assert row["elongation"] == pytest.approx(3.0)


def test_one_plant_of_two_tiles_is_kept_once() -> None:
    shapes = [
        box(0, 0, 100, 100),
        box(0, 0, 60, 100),
        box(95, 0, 200, 100),
        box(500, 0, 600, 50),
        box(0, 0, 99, 9),
    ]
    plants = geopandas.GeoDataFrame(
        {"scene": ["a", "b", "b", "b", "a"], "probability": [0.9, 0.95, 0.9, 0.8, 0.7]},
        geometry=shapes,
        crs=3035,
    )
    kept = drop_duplicates(plants)
    assert kept.geometry.area.tolist() == [10_000, 10_500, 5_000, 891]  # the cut one goes; same scene stays
    assert len(drop_duplicates(plants.sample(frac=1.0, random_state=1))) == 4


def test_stored_probabilities_and_thresholds() -> None:
    p = np.array([0.0, 0.5, 1.0, np.nan, 0.123], np.float32)
    np.testing.assert_allclose(as_probability(as_bytes(p)), p, atol=0.5 / 250)
    assert said(as_bytes(p), 0.5).tolist() == [False, True, True, False, False]


def test_the_threshold_is_the_best_of_all() -> None:
    random = np.random.default_rng(0)
    y = (random.random(5000) < 0.2).astype(np.uint8)
    p = np.clip(0.35 * y + random.normal(0.3, 0.15, 5000), 0, 1).astype(np.float32)
    y[:50] = 2  # ignored
    ious = {}
    for t in np.arange(5, 96) / 100:
        a, b = (p >= np.float32(t))[50:], y[50:] == 1
        ious[float(t)] = (a & b).sum() / (a | b).sum()
    assert ious[best_threshold(p, y)] == pytest.approx(max(ious.values()), abs=1e-3)


def test_places_and_pixels_are_inverse() -> None:
    transform = shifted(from_corner(100.0, 200.0, 10.0), 3, 4)
    assert (transform.c, transform.f) == (140.0, 170.0)
    x, y = to_places(transform, [0.5, 7.0], [2.0, 3.5])
    rows, columns = to_pixels(transform, x, y)
    np.testing.assert_allclose((rows, columns), ([0.5, 7.0], [2.0, 3.5]))
