from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from esai_core.transforms import Anomaliser, QuantileCategories, Standardiser


@st.composite
def fields(draw: st.DrawFn) -> xr.DataArray:
    """Monthly fields of any size with NaN here and there, in either precision."""
    years, rows, columns = draw(st.integers(3, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    time = pd.date_range("1990-01-01", periods=12 * years, freq="MS")
    data = rng.normal(280, draw(st.sampled_from([0.5, 30.0])), (len(time), rows, columns))
    data[rng.random(data.shape) < draw(st.sampled_from([0.0, 0.02]))] = np.nan
    coords = {"time": time, "latitude": np.arange(rows) * 1.0, "longitude": np.arange(columns) * 2.0}
    return xr.DataArray(
        data.astype(draw(st.sampled_from([np.float32, np.float64]))),
        coords,
        ("time", "latitude", "longitude"),
    )


TRANSFORMS: dict[str, Callable[[xr.DataArray], Standardiser | Anomaliser]] = {
    "standardiser": lambda da: Standardiser.fit(da, dim="time"),
    "anomaliser": lambda da: Anomaliser.fit(da),
    "trend": lambda da: Anomaliser.fit(da, group=None, trend=True),
}


@given(da=fields(), name=st.sampled_from(sorted(TRANSFORMS)))
@settings(max_examples=25, deadline=None)
def test_inverse_undoes_transform(da: xr.DataArray, name: str) -> None:
    fitted = TRANSFORMS[name](da)
    there = fitted.transform(da)
    back = fitted.inverse(there)
    assert back.dtype == da.dtype == there.dtype
    np.testing.assert_allclose(back, da, rtol=1e-12 if da.dtype == np.float64 else 1e-6)


@given(da=fields(), name=st.sampled_from(sorted(TRANSFORMS)), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_dask_and_the_order_of_cells_do_not_matter(da: xr.DataArray, name: str, seed: int) -> None:
    fit = TRANSFORMS[name]
    expected = fit(da).transform(da)
    chunked = da.chunk(time=7, latitude=1)
    lazy = fit(chunked).transform(chunked)
    assert lazy.chunks is not None
    tolerance = 1e-9 if da.dtype == np.float64 else 1e-4
    np.testing.assert_allclose(lazy, expected, atol=tolerance)
    order = np.random.default_rng(seed).permutation(da.sizes["longitude"])
    np.testing.assert_allclose(fit(da.isel(longitude=order)).transform(da), expected, atol=tolerance)


@given(da=fields(), seed=st.integers(0, 99), size=st.integers(2, 5))
@settings(max_examples=25, deadline=None)
def test_categories_are_blind_to_order_chunks_and_monotone_maps(
    da: xr.DataArray, seed: int, size: int
) -> None:
    labels = [f"c{k}" for k in range(size)]
    fitted = QuantileCategories.fit(da, group=None, labels=labels)
    codes = fitted.transform(da)
    np.testing.assert_array_equal(codes.isnull(), da.isnull())
    assert set(np.unique(codes.values[~np.isnan(codes.values)])) <= set(range(size))
    shuffled = da.isel(time=np.random.default_rng(seed).permutation(da.sizes["time"]))
    again = QuantileCategories.fit(shuffled, group=None, labels=labels)
    xr.testing.assert_identical(again.edges, fitted.edges)
    chunked = da.chunk(time=5, longitude=1)
    np.testing.assert_array_equal(fitted.transform(chunked), codes)
    xr.testing.assert_identical(
        QuantileCategories.fit(chunked, group=None, labels=labels).edges, fitted.edges
    )
    doubled = QuantileCategories.fit(2 * da, group=None, labels=labels)
    np.testing.assert_array_equal(doubled.transform(2 * da), codes)
