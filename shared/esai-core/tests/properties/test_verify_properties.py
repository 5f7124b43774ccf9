from __future__ import annotations

import numpy as np
import scoringrules
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from esai_core import verify


@st.composite
def ensembles(draw: st.DrawFn) -> tuple[xr.DataArray, xr.DataArray]:
    """Ensembles of any small shape, precision, order of dimensions, with NaN and ties."""
    sizes = {
        "start": draw(st.integers(1, 5)),
        "number": draw(st.integers(1, 12)),
        "cell": draw(st.integers(1, 40)),
    }
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    forecast = xr.DataArray(rng.normal(280, 5, tuple(sizes.values())), dims=tuple(sizes))
    observed = xr.DataArray(rng.normal(280, 5, (sizes["start"], sizes["cell"])), dims=("start", "cell"))
    if draw(st.booleans()):
        forecast, observed = forecast.round(), observed.round()
    hole = draw(st.sampled_from([0.0, 0.1, 0.6]))
    forecast = forecast.where(xr.DataArray(rng.random(forecast.shape) >= hole, dims=forecast.dims))
    observed = observed.where(xr.DataArray(rng.random(observed.shape) >= hole / 2, dims=observed.dims))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    order = draw(st.permutations(list(sizes)))
    data = np.ascontiguousarray(forecast.transpose(*order).values.astype(dtype))
    coords = {"cell": np.arange(sizes["cell"]), "start": np.arange(sizes["start"])}
    return xr.DataArray(data, coords, tuple(order)), observed.astype(dtype).assign_coords(coords)


@given(pair=ensembles())
@settings(max_examples=40, deadline=None)
def test_crps_is_scoringrules_case_by_case(pair: tuple[xr.DataArray, xr.DataArray]) -> None:
    forecast, observed = pair
    ours = [
        score(forecast, observed, dim=()).transpose("start", "cell")
        for score in (verify.crps, verify.crps_fair)
    ]
    for start, cell in np.ndindex(observed.shape):
        members = forecast.isel(start=start, cell=cell).dropna("number").values.astype(float)
        truth = observed[start, cell].values.astype(float)
        for fair, value in enumerate(ours):
            if np.isnan(truth) or len(members) < 1 + fair:
                assert np.isnan(value[start, cell])
                continue
            estimator = "fair" if fair else "nrg"
            expected = scoringrules.crps_ensemble(truth, members, estimator=estimator, backend="numpy")
            np.testing.assert_allclose(value[start, cell], expected, atol=1e-12)


@given(pair=ensembles(), seed=st.integers(0, 99))
@settings(max_examples=12, deadline=None)
def test_members_cells_and_chunks_in_any_order_score_the_same(
    pair: tuple[xr.DataArray, xr.DataArray], seed: int
) -> None:
    forecast, observed = pair
    rng = np.random.default_rng(seed)
    shuffled = forecast.isel(
        number=rng.permutation(forecast.sizes["number"]), cell=rng.permutation(forecast.sizes["cell"])
    )
    chunked = forecast.chunk(number=7, cell=17), observed.chunk(cell=23)
    for score in (verify.crps, verify.crps_fair, verify.spread_skill):
        expected = score(forecast, observed, dim="cell")
        np.testing.assert_allclose(score(shuffled, observed, dim="cell"), expected, atol=1e-11)
        lazy = score(*chunked, dim="cell")
        assert lazy.chunks is not None
        np.testing.assert_allclose(lazy, expected, atol=1e-11)
    mean = verify.ensemble_moments(forecast)["mean"]
    lazy_mean = verify.ensemble_moments(chunked[0])["mean"]
    for score in (verify.bias, verify.mae, verify.rmse, verify.pearson_r, verify.d2):
        expected = score(mean, observed, dim="start")
        np.testing.assert_allclose(score(lazy_mean, chunked[1], dim="start"), expected, atol=1e-7)


@given(pair=ensembles(), shift=st.floats(-50, 50), factor=st.floats(0.1, 10))
@settings(max_examples=40, deadline=None)
def test_scores_follow_shifts_and_units(
    pair: tuple[xr.DataArray, xr.DataArray], shift: float, factor: float
) -> None:
    forecast, observed = (a.astype(float) for a in pair)
    moved = factor * forecast + shift, factor * observed + shift
    for score in (verify.crps, verify.crps_fair):
        np.testing.assert_allclose(score(*moved), factor * score(forecast, observed), atol=1e-9)
    np.testing.assert_allclose(
        verify.spread(moved[0]), factor * verify.spread(forecast), rtol=1e-9, atol=1e-9
    )


@given(
    seed=st.integers(0, 2**20),
    size=st.integers(2, 6),
    number=st.integers(1, 60),
)
@settings(max_examples=40, deadline=None)
def test_rps_is_the_sum_of_brier_scores(seed: int, size: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [f"c{k}" for k in range(size)]
    probabilities = xr.DataArray(
        rng.dirichlet(np.ones(size), number), {"category": labels}, ("case", "category")
    )
    codes = xr.DataArray(rng.integers(0, size, number).astype(float), dims="case")
    codes[rng.random(number) < 0.2] = np.nan
    below = probabilities.cumsum("category")
    expected = sum(
        verify.brier(below[:, k].drop_vars("category"), verify.exceeds(k + 0.5 - codes, 0.0), dim=())
        for k in range(size - 1)
    )
    np.testing.assert_allclose(verify.rps(probabilities, codes, dim=()), expected, atol=1e-12)
