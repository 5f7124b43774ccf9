from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.interpolate import RegularGridInterpolator

from esai_core.errors import InputError, UsageError
from esai_core.grid import (
    Alignment,
    Grid,
    alignment,
    area_weights,
    check_finer,
    coarse_grid,
    coarsen,
    coarsen_nodes,
    fill_nearest,
    is_node_aligned,
    mask_sea,
    regrid,
    valid_fraction,
)
from esai_core.grid.grids import EARTH_RADIUS

SEAS5 = Grid(np.arange(8.0, 12.0), np.arange(-77.0, -72.0))
ERA5 = Grid(np.arange(8.0, 11.1, 0.25), np.arange(-77.0, -72.9, 0.25))


def field(grid, *, seed=0, times=3, dtype="f8"):
    rng = np.random.default_rng(seed)
    return xr.DataArray(
        rng.normal(size=(times, *grid.shape)).astype(dtype),
        dims=("time", "latitude", "longitude"),
        coords={"time": pd.date_range("2001", periods=times), **grid.coords()},
        name="t2m",
        attrs={"units": "K"},
    )


def test_area_of_the_earth():
    grid = Grid(np.arange(-89.5, 90), np.arange(0.5, 360))
    assert float(grid.cell_area.sum()) == pytest.approx(4 * np.pi * EARTH_RADIUS**2, rel=1e-12)
    nodes = Grid(np.linspace(90, -90, 181), np.arange(0.0, 360))  # poles are nodes: half cells
    assert float(nodes.cell_area.sum()) == pytest.approx(4 * np.pi * EARTH_RADIUS**2, rel=1e-12)


def test_cos_weights_average_to_one():
    weights = area_weights(SEAS5.latitude)
    assert float(weights.mean()) == pytest.approx(1)
    np.testing.assert_allclose(
        weights / weights[0], np.cos(np.deg2rad(SEAS5.latitude)) / np.cos(np.deg2rad(8))
    )


def test_grids_that_are_none():
    with pytest.raises(InputError, match="latitude is not monotonic"):
        Grid(np.array([0.0, 2.0, 1.0]), np.arange(3.0))
    with pytest.raises(InputError, match="one dimension"):
        Grid(np.zeros((2, 2)), np.arange(3.0))
    with pytest.raises(InputError, match="no coordinate latitude"):
        Grid.from_dataset(xr.Dataset(coords={"x": [1]}))


@pytest.mark.parametrize("flip", [1, -1])
def test_seas5_and_era5_are_node_aligned(flip):
    fine = Grid(ERA5.latitude[::flip], ERA5.longitude)
    assert fine.shape == tuple((n - 1) * 4 + 1 for n in SEAS5.shape)
    assert alignment(SEAS5, fine) == Alignment("node", 4)
    assert is_node_aligned(SEAS5, fine) == 4
    assert coarse_grid(ERA5, 4).matches(SEAS5)


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
def test_blocks_of_cells_are_told_from_nodes(factor):
    fine = Grid(np.arange(8 * factor) / factor, np.arange(6 * factor) / factor)
    coarse = coarse_grid(fine, factor, kind="cell")
    assert coarse.shape == (8, 6)
    assert alignment(coarse, fine) == Alignment("cell", factor)
    assert is_node_aligned(coarse, fine) is None
    shifted = Grid(fine.latitude + 0.3 / factor, fine.longitude)
    assert alignment(coarse, shifted) is None


def test_other_conventions_of_longitude_do_not_matter():
    assert is_node_aligned(Grid(SEAS5.latitude, SEAS5.longitude + 360), ERA5) == 4
    assert alignment(Grid(np.linspace(35.2, 44.8, 6), np.arange(-9.375, 4, 1.875)), ERA5) is None


def test_sizes_that_do_not_fit_are_refused_not_cut():
    with pytest.raises(InputError, match=r"14 points of latitude are not \(n - 1\) \* 4 \+ 1; use 13 or 17"):
        coarse_grid(Grid(np.arange(14.0), np.arange(17.0)), 4)
    with pytest.raises(InputError, match="17 points of longitude are not a multiple of 4"):
        coarse_grid(Grid(np.arange(16.0), np.arange(17.0)), 4, kind="cell")
    with pytest.raises(UsageError, match="factor 0"):
        coarse_grid(ERA5, 0)


def test_a_reference_coarser_than_the_hindcast_is_refused_with_both_grids():
    check_finer(SEAS5, ERA5)
    check_finer(SEAS5, SEAS5)
    with pytest.raises(
        InputError, match=r"the reference is coarser than the hindcast .*reference: 4 x 5 points"
    ):
        check_finer(ERA5, SEAS5)
    with pytest.raises(InputError, match="do not overlap"):
        check_finer(SEAS5, Grid(ERA5.latitude + 30, ERA5.longitude))
    with pytest.raises(InputError, match="do not overlap"):
        check_finer(SEAS5, Grid(ERA5.latitude, ERA5.longitude + 90))
    check_finer(SEAS5, Grid(ERA5.latitude, ERA5.longitude + 360))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_bilinear_hits_shared_nodes_exactly(dtype):
    da = field(SEAS5, dtype=dtype)
    out = regrid(da, ERA5)
    assert out.dtype == dtype
    assert out.attrs == da.attrs
    np.testing.assert_array_equal(coarsen_nodes(out, 4).values, da.values)


@pytest.mark.parametrize("flip_source", [1, -1])
@pytest.mark.parametrize("flip_target", [1, -1])
def test_bilinear_against_scipy_and_xarray(flip_source, flip_target):
    rng = np.random.default_rng(3)
    irregular = Grid(np.sort(rng.uniform(8, 11, 9)), np.sort(rng.uniform(-77, -73, 11)))
    da = field(SEAS5)
    given = da.isel(latitude=slice(None, None, flip_source))
    target = Grid(irregular.latitude[::flip_target], irregular.longitude)
    out = regrid(given, target)
    points = np.stack(np.meshgrid(target.latitude, target.longitude, indexing="ij"), axis=-1)
    for i in range(da.sizes["time"]):
        oracle = RegularGridInterpolator((SEAS5.latitude, SEAS5.longitude), da.values[i])(points)
        np.testing.assert_allclose(out.values[i], oracle, rtol=1e-12, atol=1e-13)
    other = da.interp(latitude=target.latitude, longitude=target.longitude)
    np.testing.assert_allclose(out.values, other.values, rtol=1e-12, atol=1e-13)


def test_bilinear_around_the_globe():
    grid = Grid(np.arange(-80.0, 81, 20), np.arange(-180.0, 180, 30))
    da = field(grid)
    target = Grid(np.array([5.0, 10.0]), np.array([165.0, 175.0, 180.0, 185.0]))
    out = regrid(da, target)
    wrapped = xr.concat([da, da.isel(longitude=[0]).assign_coords(longitude=[180.0])], "longitude")
    wrapped = xr.concat([wrapped, da.isel(longitude=[1]).assign_coords(longitude=[210.0])], "longitude")
    oracle = wrapped.interp(latitude=target.latitude, longitude=[165.0, 175.0, 180.0, 185.0])
    np.testing.assert_allclose(out.values, oracle.values, rtol=1e-12, atol=1e-13)


def test_nothing_is_extrapolated_but_half_a_cell_where_allowed():
    da = field(SEAS5)
    wide = Grid(np.array([7.4, 7.6, 8.0, 11.4]), np.array([-77.4, -75.0, -72.6, -72.4]))
    out = regrid(da, wide)
    assert np.isfinite(out.values[0]).sum() == 1
    out = regrid(da, wide, edge="nearest")
    expected = np.array(
        [[False] * 4, [True, True, True, False], [True, True, True, False], [True, True, True, False]]
    )
    np.testing.assert_array_equal(np.isfinite(out.values[0]), expected)
    np.testing.assert_array_equal(out.sel(latitude=7.6, longitude=-77.4), da.sel(latitude=8, longitude=-77))


def test_missing_sea_does_not_spread_and_land_stays_right():
    da = field(SEAS5) * 0 + 285.0
    da[:, :, 0] = np.nan
    out = regrid(da, ERA5)
    np.testing.assert_allclose(out.sel(longitude=slice(-76.75, None)), 285.0, rtol=1e-12)
    assert out.sel(longitude=-77.0).isnull().all()
    strict = regrid(da, ERA5, min_valid=0.5)
    assert strict.sel(longitude=-76.75).isnull().all()
    assert strict.sel(longitude=-76.5).notnull().all()
    none = regrid(da, ERA5, skipna=False)
    assert none.sel(longitude=slice(-77, -76.25)).isnull().all()
    assert none.sel(longitude=slice(-76, None)).notnull().all()


def test_renormalised_weights_by_hand():
    grid = Grid(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    da = xr.DataArray([[1.0, np.nan], [3.0, 5.0]], dims=("latitude", "longitude"), coords=grid.coords())
    out = regrid(da, Grid(np.array([0.25]), np.array([0.5])))
    weights = np.array([0.75 * 0.5, 0.25 * 0.5, 0.25 * 0.5])
    assert float(out[0, 0]) == pytest.approx((weights @ [1, 3, 5]) / weights.sum())


def test_missing_values_may_differ_from_field_to_field():
    da = field(SEAS5)
    rng = np.random.default_rng(0)
    da = da.where(rng.random(da.shape) > 0.3)
    whole = regrid(da, ERA5, method="conservative")
    for i in range(3):
        np.testing.assert_array_equal(whole[i], regrid(da.isel(time=[i]), ERA5, method="conservative")[0])


def test_conservative_mean_of_a_block_by_hand():
    fine = Grid(np.array([59.5, 60.5]), np.array([0.5, 1.5]))
    da = xr.DataArray([[1.0, 2.0], [3.0, 7.0]], dims=("latitude", "longitude"), coords=fine.coords())
    out = coarsen(da, 2, kind="cell")
    a = np.sin(np.deg2rad(60)) - np.sin(np.deg2rad(59))
    b = np.sin(np.deg2rad(61)) - np.sin(np.deg2rad(60))
    assert float(out[0, 0]) == pytest.approx((a * 1.5 + b * 5) / (a + b), rel=1e-12)
    part = coarsen(da.where(da < 7), 2, kind="cell")
    assert float(part[0, 0]) == pytest.approx((a * 1.5 + b / 2 * 3) / (a + b / 2), rel=1e-12)
    assert float(valid_fraction(da.where(da < 7), coarse_grid(fine, 2, kind="cell"))[0, 0]) == pytest.approx(
        (a + b / 2) / (a + b), rel=1e-12
    )
    assert coarsen(da.where(da < 7), 2, kind="cell", min_valid=0.9).isnull().all()


def test_coarsened_nodes_keep_a_constant_and_their_places():
    da = field(ERA5) * 0 + 3.0
    out = coarsen(da, 4)
    assert Grid.from_dataset(out).matches(SEAS5)
    np.testing.assert_allclose(out, 3.0, rtol=1e-12)


def test_conservative_agrees_with_xarray_regrid_inside_the_domain():
    pytest.importorskip("xarray_regrid")
    import xarray_regrid  # noqa: F401 (registers the accessor)

    fine = Grid(np.arange(-19.5, 20) / 2, np.arange(-19.5, 20) / 2)
    coarse = coarse_grid(fine, 4, kind="cell")
    da = field(fine)
    other = da.regrid.conservative(xr.Dataset(coords=coarse.coords()), latitude_coord="latitude")
    ours = regrid(da, coarse, method="conservative")
    np.testing.assert_allclose(ours[:, 1:-1, 1:-1], other[:, 1:-1, 1:-1], rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["bilinear", "conservative", "nearest"])
def test_dask_and_any_order_of_dims_give_the_same(method):
    da = field(SEAS5, times=6).where(np.random.default_rng(0).random((6, *SEAS5.shape)) > 0.2)
    expected = regrid(da, ERA5, method=method)
    lazy = regrid(da.chunk({"time": 2, "latitude": 2}), ERA5, method=method)
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), expected)
    turned = regrid(da.transpose("longitude", "time", "latitude"), ERA5, method=method)
    assert turned.dims == ("longitude", "time", "latitude")
    xr.testing.assert_identical(turned.transpose(*da.dims), expected)


def test_nearest():
    da = field(SEAS5)
    target = Grid(np.array([8.4, 8.6, 11.0]), np.array([-76.6, -73.1]))
    out = regrid(da, target, method="nearest")
    expected = da.sel(latitude=[8, 9, 11], longitude=[-77, -73])
    np.testing.assert_array_equal(out, expected)
    with pytest.raises(UsageError, match="unknown method 'cubic'"):
        regrid(da, ERA5, method="cubic")


def test_integers_become_floats():
    da = field(SEAS5).astype("i2")
    assert regrid(da, ERA5).dtype == "f4"


def test_large_inputs_are_worked_off_in_parts(monkeypatch):
    from esai_core.grid import regridding

    da = field(SEAS5, times=50)
    expected = regrid(da, ERA5)
    monkeypatch.setattr(regridding, "BLOCK", 1000)
    xr.testing.assert_identical(regrid(da, ERA5), expected)


def test_sea_is_filled_from_the_nearest_land_and_masked_again():
    land = np.ones(ERA5.shape, bool)
    land[:, :6] = False
    da = field(ERA5).where(xr.DataArray(land, dims=("latitude", "longitude")))
    out = fill_nearest(da)
    assert out.notnull().all()
    np.testing.assert_array_equal(out[:, :, :6], np.repeat(da.values[:, :, 6:7], 6, axis=2))
    lazy = fill_nearest(da.chunk({"time": 1}), valid=da[0].notnull())
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), out)
    lsm = xr.DataArray(land.astype(float), dims=("latitude", "longitude"), coords=ERA5.coords(), name="lsm")
    xr.testing.assert_identical(mask_sea(out, lsm.isel(latitude=slice(None, None, -1))), da)
    with pytest.raises(InputError, match="on another grid"):
        mask_sea(field(SEAS5), lsm)
    with pytest.raises(InputError, match="all are missing"):
        fill_nearest(da * np.nan)


def test_filling_leaves_gaps_in_time_alone():
    da = field(ERA5)
    da[1] = np.nan
    da[:, 0, 0] = np.nan
    out = fill_nearest(da)
    assert out[1].isnull().all()
    assert out[0].notnull().all()
