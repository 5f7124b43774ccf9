"""Constraints against projections, blocks and laws that are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core import physics
from esai_core.errors import InputError, UsageError
from esai_core.grid import coarsen, coarsen_nodes, regrid
from esai_core.physics import MeanConstraint, conserve


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def field(rng, shape=(3, 12, 16), step=0.25, south=50.0, offset=280.0):
    dims = ("time", "latitude", "longitude")
    latitude, longitude = (start + step * np.arange(n) for start, n in ((south, shape[1]), (-10.0, shape[2])))
    coords = {"time": np.arange(shape[0]), "latitude": latitude, "longitude": longitude}
    return xr.DataArray(
        offset + rng.normal(size=shape), coords=coords, dims=dims, name="t", attrs={"units": "K"}
    )


KINDS = [("cell", (3, 12, 16)), ("node", (3, 13, 17))]


@pytest.mark.parametrize(("kind", "shape"), KINDS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_additive_correction_is_the_nearest_field_that_conserves(rng, kind, shape, dtype):
    fine = field(rng, shape).astype(dtype)
    coarse = coarsen(field(rng, shape), 4, kind=kind) + 1
    made = conserve(fine, coarse, factor=4, kind=kind)
    assert made.dtype == dtype
    assert made.attrs == fine.attrs
    np.testing.assert_allclose(coarsen(made.astype("f8"), 4, kind=kind), coarse, rtol=1e-6)
    # the projection, by least squares on the whole operator
    constraint = MeanConstraint.of(fine, factor=4, kind=kind)
    operator = np.kron(constraint.rows, constraint.columns)
    missed = coarse[0].values.ravel() - operator @ fine[0].values.astype("f8").ravel()
    nearest = fine[0].values.ravel() + np.linalg.lstsq(operator, missed, rcond=None)[0]
    np.testing.assert_allclose(made[0].values.ravel(), nearest, rtol=1e-6)


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_the_multiplicative_correction_keeps_signs_and_means(rng, kind, shape):
    fine = abs(field(rng, shape, offset=0.0)) * (rng.random(shape) > 0.3)
    coarse = coarsen(abs(field(rng, shape, offset=0.0)), 4, kind=kind)
    coarse[0, 0, 0] = 0.0
    made = conserve(fine, coarse, factor=4, kind=kind, method="multiplicative")
    assert float(made.min()) >= 0
    assert not made.values[fine.values == 0].any()
    np.testing.assert_allclose(coarsen(made, 4, kind=kind), coarse, rtol=1e-5, atol=1e-12)
    if kind == "cell":
        ratio = made[1, :4, :4] / fine[1, :4, :4]
        np.testing.assert_allclose(ratio.values[fine[1, :4, :4].values > 0], float(ratio.mean()), rtol=1e-10)


def test_order_of_coordinates_and_of_dims_does_not_matter(rng):
    fine, coarse = field(rng), coarsen(field(rng), 4, kind="cell")
    expected = conserve(fine, coarse, factor=4)
    shuffled = coarse.isel(time=[2, 0, 1], latitude=slice(None, None, -1)).transpose("longitude", ...)
    turned = conserve(
        fine.isel(latitude=slice(None, None, -1)).transpose("latitude", ...), shuffled, factor=4
    )
    xr.testing.assert_allclose(turned.transpose(*fine.dims).sortby("latitude"), expected)


def test_what_conserves_already_is_left_alone_and_missing_fields_stay_missing(rng):
    fine = field(rng)
    xr.testing.assert_allclose(conserve(fine, coarsen(fine, 4, kind="cell"), factor=4), fine)
    fine[1] = np.nan
    made = conserve(fine, coarsen(field(rng), 4, kind="cell"), factor=4)
    assert made[1].isnull().all()
    assert made[[0, 2]].notnull().all()


def test_conserve_refuses(rng):
    fine = field(rng, offset=0.0)
    coarse = coarsen(fine, 4, kind="cell")
    with pytest.raises(UsageError, match="did you mean 'additive'"):
        conserve(fine, coarse, factor=4, method="aditive")
    with pytest.raises(InputError, match="cell grid of factor 2"):
        conserve(fine, coarse, factor=2)
    with pytest.raises(InputError, match="use method additive"):
        conserve(fine, coarse, factor=4, method="multiplicative")
    dry = abs(fine) * 0
    with pytest.raises(UsageError, match="stay 0"):
        conserve(dry, abs(coarse) + 1, factor=4, method="multiplicative")


@pytest.mark.parametrize("rate", [0.0065, 0.004])
def test_relief_baseline_is_exact_for_an_atmosphere_with_a_lapse_rate(rng, rate):
    high = 1500 * np.abs(field(rng, (1, 13, 17), offset=0.0))[0].drop_vars("time")
    sea = 290 - 0.5 * (high.latitude - 50) + 0.2 * high.longitude + xr.DataArray([0.0, 3.0], dims="time")
    fine = (sea - rate * high).transpose("time", "latitude", "longitude")
    coarse, coarse_high = coarsen_nodes(fine, 4), coarsen_nodes(high, 4)
    made = physics.to_relief(coarse, coarse_high, high, lapse_rate=rate)
    xr.testing.assert_allclose(made, fine)
    plain = regrid(coarse, fine)
    assert float(abs(plain - fine).max()) > 1
    np.testing.assert_allclose(physics.fit_lapse_rate(fine, coarse, high, coarse_high), rate)
    turned = physics.to_relief(
        coarse.isel(latitude=slice(None, None, -1)), coarse_high, high, lapse_rate=rate
    )
    xr.testing.assert_allclose(turned, fine)


def test_relief_refuses(rng):
    high = abs(field(rng, (1, 13, 17)))[0].drop_vars("time")
    coarse = coarsen_nodes(high, 4)
    with pytest.raises(InputError, match="missing values in the coarse orography"):
        physics.to_relief(coarse, coarse.where(coarse > coarse.min()), high)
    with pytest.raises(InputError, match="not on the grid"):
        physics.to_relief(coarse, coarse.assign_coords(latitude=coarse.latitude + 0.5), high)
    flat, fine = high * 0 + 1, field(rng, (1, 13, 17))
    with pytest.raises(InputError, match="no relief"):
        physics.fit_lapse_rate(fine, coarsen_nodes(fine, 4), flat, coarsen_nodes(flat, 4))
