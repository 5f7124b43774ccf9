from __future__ import annotations

import numpy as np
import pytest
import scoringrules
import xarray as xr
from scores import probability as oracle

from esai_core import verify
from esai_core.errors import InputError, UsageError
from esai_core.verify._kernels import sorting_network

ORDER = ("start", "lead", "number", "latitude", "longitude")


def _case(members: int = 25, seed: int = 0, dtype: type = np.float64) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    observed = xr.DataArray(rng.normal(285, 3, (9, 2, 4, 7)), dims=("start", "lead", "latitude", "longitude"))
    noise = xr.DataArray(rng.normal(0.3, 2, (9, 2, members, 4, 7)), dims=ORDER)
    return (observed + noise).transpose(*ORDER).astype(dtype), observed.astype(dtype)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 11, 12])
def test_the_network_sorts_every_order_of_zeros_and_ones(size: int) -> None:
    # A network that sorts all sequences of 0 and 1 sorts all sequences (Knuth 5.3.4, theorem Z).
    every = np.array(np.meshgrid(*[[0, 1]] * size)).reshape(size, -1)
    for low, high in sorting_network(size):
        every[[low, high]] = np.sort(every[[low, high]], axis=0)
    assert (np.diff(every, axis=0) >= 0).all()


@pytest.mark.parametrize("members", [1, 2, 25, 51, 130])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_crps_is_that_of_scoringrules_wherever_the_members_lie(members: int, at: int) -> None:
    forecast, observed = _case(members)
    dims = [d for d in ORDER if d != "number"]
    dims.insert(at, "number")
    forecast = forecast.transpose(*dims).copy(data=np.ascontiguousarray(forecast.transpose(*dims).values))
    expected = scoringrules.crps_ensemble(
        observed.values, forecast.transpose(..., "number").values, estimator="nrg", backend="numpy"
    )
    ours = verify.crps(forecast, observed, dim=()).transpose(*observed.dims)
    np.testing.assert_allclose(ours, expected, atol=1e-12, rtol=0)
    if members > 1:
        expected = scoringrules.crps_ensemble(
            observed.values, forecast.transpose(..., "number").values, estimator="fair", backend="numpy"
        )
        ours = verify.crps_fair(forecast, observed, dim=()).transpose(*observed.dims)
        np.testing.assert_allclose(ours, expected, atol=1e-12, rtol=0)


def test_crps_of_views_and_single_precision() -> None:
    forecast, observed = _case(dtype=np.float32)
    expected = verify.crps(forecast.astype(float), observed.astype(float), dim=())
    np.testing.assert_allclose(verify.crps(forecast, observed, dim=()), expected, rtol=1e-12)
    for view in (
        forecast.isel(latitude=slice(None, None, -1), number=slice(None, None, -1)),
        forecast.isel(longitude=slice(None, None, 2)),
        forecast.transpose("longitude", ...),
    ):
        truth = observed.isel(longitude=slice(view.sizes["longitude"]))
        fresh = view.copy(data=np.ascontiguousarray(view.values))
        np.testing.assert_array_equal(verify.crps(view, truth, dim=()), verify.crps(fresh, truth, dim=()))


def test_missing_members_are_left_out_of_their_case() -> None:
    forecast, observed = _case(51)
    forecast[:5, :, 25:] = np.nan
    forecast[6, 0, ::2] = np.nan
    ours = verify.crps(forecast, observed, dim=()), verify.crps_fair(forecast, observed, dim=())
    for score, method in zip(ours, ("ecdf", "fair"), strict=True):
        expected = oracle.crps_for_ensemble(forecast, observed, "number", method=method, preserve_dims="all")
        np.testing.assert_allclose(score, expected.transpose(*score.dims), atol=1e-12)


def test_cases_without_members_or_observation_are_left_out() -> None:
    forecast, observed = _case()
    expected = verify.crps(forecast[2:, :, :, 1:], observed[2:, :, 1:])
    observed[:2] = np.nan
    forecast[:, :, :, 0] = np.nan
    np.testing.assert_allclose(verify.crps(forecast, observed), expected, rtol=1e-13)
    assert verify.crps(forecast, observed, dim=())[0].isnull().all()
    assert verify.crps_fair(forecast.isel(number=[3]), observed).isnull()


def test_fair_crps_does_not_depend_on_the_number_of_members() -> None:
    rng = np.random.default_rng(1)
    observed = xr.DataArray(rng.normal(size=40_000), dims="case")
    forecast = xr.DataArray(rng.normal(size=(40_000, 8)), dims=("case", "number"))
    few, many = (verify.crps_fair(forecast[:, :m], observed).item() for m in (3, 8))
    biased = verify.crps(forecast[:, :3], observed).item()
    expected = 1 / np.sqrt(np.pi)  # standard normal forecast and truth: E|X - Y| - E|X - X'| / 2
    assert abs(few - expected) < 0.01
    assert abs(many - expected) < 0.01
    assert biased > expected + 0.1


def test_moments_leave_out_missing_members() -> None:
    forecast, _ = _case()
    forecast[0, 0, 3:] = np.nan
    forecast[1] = np.nan
    forecast[2, :, 1:] = np.nan
    moments = verify.ensemble_moments(forecast)
    known = forecast.isel(start=slice(3, None))
    np.testing.assert_allclose(moments["mean"][3:], known.mean("number"), rtol=1e-14)
    np.testing.assert_allclose(moments["variance"][3:], known.var("number", ddof=1), rtol=1e-12)
    np.testing.assert_allclose(
        moments["variance"][0, 0], forecast[0, 0, :3].var("number", ddof=1), rtol=1e-12
    )
    assert moments["mean"][1].isnull().all()
    assert (moments["members"][1] == 0).all()
    assert moments["variance"][2].isnull().all()
    assert moments["mean"][2].notnull().all()


def test_spread_skill_is_one_for_a_reliable_ensemble_of_any_size() -> None:
    rng = np.random.default_rng(0)
    signal = xr.DataArray(rng.normal(size=30_000), dims="case")
    for members in (3, 25):
        forecast = signal + xr.DataArray(rng.normal(size=(members, 30_000)), dims=("number", "case"))
        observed = signal + rng.normal(size=30_000)
        np.testing.assert_allclose(verify.spread_skill(forecast, observed), 1, atol=0.02)
        np.testing.assert_allclose(verify.spread(forecast), 1, atol=0.01)
        half = signal + (forecast - signal) / 2
        assert verify.spread_skill(half, observed) < 0.75


def test_spread_skill_leaves_out_the_same_cases_in_both_parts() -> None:
    forecast, observed = _case()
    expected = verify.spread_skill(forecast[1:], observed[1:])
    forecast[0] = forecast[0] * 100
    observed[0] = np.nan
    np.testing.assert_allclose(verify.spread_skill(forecast, observed), expected, rtol=1e-13)
    assert verify.spread_skill(forecast.isel(number=[0]), observed).isnull()


def test_crps_skill_uses_common_cases() -> None:
    forecast, observed = _case()
    climatology = _case(11, seed=5)[0]
    climatology[0] = np.nan
    expected = 1 - verify.crps(forecast[1:], observed[1:]) / verify.crps(climatology[1:], observed[1:])
    np.testing.assert_allclose(verify.crpss(forecast, observed, reference=climatology), expected, rtol=1e-12)
    assert verify.crpss(forecast, observed, reference=forecast, fair=True) == 0


def test_members_and_units_are_checked() -> None:
    forecast, observed = _case()
    with pytest.raises(UsageError, match="no member dimension 'member'"):
        verify.crps(forecast, observed, member="member")
    with pytest.raises(InputError, match="units differ"):
        verify.crps(forecast.assign_attrs(units="K"), observed.assign_attrs(units="degC"))
    with pytest.raises(InputError, match="number"):
        verify.crps(forecast, forecast)


def test_crps_of_distributions_is_the_integral_of_the_squared_distance() -> None:
    from scipy import integrate, stats

    for mean, scale, truth in ((1.0, 2.0, 0.3), (-0.5, 0.7, 0.0), (2.0, 0.4, 2.6)):
        forecast, spread, observed = (xr.DataArray([v], dims="t") for v in (mean, scale, truth))

        def squared(x: float, lowest: float, at: tuple[float, ...] = (mean, scale, truth)) -> float:
            below = stats.norm(*at[:2]).cdf(x) if x >= lowest else 0.0
            return (below - (x >= at[2])) ** 2

        for ours, lowest in (
            (verify.crps_normal(forecast, spread, observed), -np.inf),
            (verify.crps_censored_normal(forecast, spread, observed), 0.0),
        ):
            expected = integrate.quad(squared, -12, 14, args=(lowest,), points=[0.0, truth], limit=200)[0]
            np.testing.assert_allclose(ours, expected, atol=1e-6)
    with pytest.raises(InputError, match="zero or less"):
        verify.crps_normal(forecast, spread * 0, observed)
