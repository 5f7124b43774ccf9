from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from esai_core.grid import Grid, regrid, valid_fraction
from esai_core.io import standardise
from esai_core.io.cf import wrap_longitude

DIMS = ("latitude", "longitude")


@st.composite
def grids(draw, low=-60.0, high=60.0):
    shape = draw(st.tuples(st.integers(2, 9), st.integers(2, 9)))
    axes = []
    for n in shape:
        first = draw(st.floats(low, low + (high - low) / 2))
        step = draw(st.floats(0.2, (high - first) / n))
        axes.append(first + step * np.arange(n))
    lat = axes[0][::-1] if draw(st.booleans()) else axes[0]
    return Grid(lat, axes[1])


def field(grid, seed):
    values = np.random.default_rng(seed).normal(10, 5, grid.shape)
    return xr.DataArray(values, dims=DIMS, coords=grid.coords())


def around(grid, n):
    """A grid of `n` x `n` cells that covers all cells of another."""
    axes = []
    for bounds in (grid.latitude_bounds, grid.longitude_bounds):
        low, high = bounds.min() - 0.5, bounds.max() + 0.5
        step = (high - low) / n
        axes.append(low + step * (np.arange(n) + 0.5))
    return Grid(*axes)


@settings(max_examples=40, deadline=None)
@given(grids(), st.integers(2, 12), st.integers(0, 99), st.floats(0, 0.8))
def test_conservative_regridding_keeps_the_total(grid, n, seed, share):
    da = field(grid, seed)
    da = da.where(np.random.default_rng(seed + 1).random(grid.shape) >= share)
    target = around(grid, n)
    out = regrid(da, target, method="conservative").fillna(0)
    covered = valid_fraction(da, target)
    total = float((da * grid.cell_area).sum())
    kept = float((out * covered * target.cell_area).sum())
    scale = float((abs(da) * grid.cell_area).sum())
    assert abs(kept - total) <= 1e-10 * max(scale, 1e-300)


@settings(max_examples=40, deadline=None)
@given(grids(), grids(), st.integers(0, 99), st.sampled_from(["bilinear", "conservative", "nearest"]))
def test_results_stay_within_the_data_and_are_linear(source, target, seed, method):
    a, b = field(source, seed), field(source, seed + 1)
    out = regrid(a, target, method=method)
    good = out.values[np.isfinite(out.values)]
    assert good.size == 0 or (good.min() >= a.values.min() - 1e-9 and good.max() <= a.values.max() + 1e-9)
    both = regrid(2 * a - b, target, method=method)
    np.testing.assert_allclose(both, 2 * out - regrid(b, target, method=method), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    grids(),
    grids(),
    st.integers(0, 99),
    st.sampled_from(["bilinear", "conservative"]),
    st.booleans(),
    st.booleans(),
)
def test_the_order_of_latitudes_and_turns_of_longitude_do_not_matter(
    source, target, seed, method, flip, turn
):
    da = field(source, seed)
    expected = regrid(da, target, method=method)
    given_ = da.isel(latitude=slice(None, None, -1)) if flip else da
    other = Grid(target.latitude[::-1], target.longitude + (360 if turn else 0))
    out = regrid(given_, other, method=method)
    np.testing.assert_allclose(out.values[::-1], expected.values, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.floats(-180, 179), st.integers(2, 40), st.floats(0.25, 8), st.integers(0, 99))
def test_wrapped_longitudes_are_contiguous_and_the_same_meridians(first, n, step, seed):
    n = min(n, int(300 / step))
    lon = np.round(first + step * np.arange(max(n, 2)), 6)
    given_ = np.random.default_rng(seed).permutation(lon % 360)
    out = wrap_longitude(given_)
    np.testing.assert_allclose((out - given_ + 180) % 360, 180, atol=1e-6)
    np.testing.assert_allclose(np.diff(np.sort(out)), step, atol=1e-5)
    assert out.min() >= -180


@settings(max_examples=30, deadline=None)
@given(grids(), st.integers(0, 99))
def test_standardising_does_not_depend_on_the_order_in_the_file(grid, seed):
    ds = field(grid, seed).to_dataset(name="t2m")
    rng = np.random.default_rng(seed)
    shuffled = ds.isel({d: rng.permutation(n) for d, n in ds.sizes.items()})
    xr.testing.assert_identical(standardise(shuffled), standardise(ds))
