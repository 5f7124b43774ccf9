from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scores import continuous
from sklearn.metrics import d2_tweedie_score

from esai_core import verify
from esai_core.errors import InputError, UsageError

DIMS = ("start", "lead", "latitude", "longitude")


def _pair(seed: int = 0, *, nan: float = 0.1) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    coords = {"lead": [1, 2, 3], "latitude": [10.0, 20, 30, 40], "longitude": np.arange(5.0)}
    observed = rng.normal(285, 3, (20, 3, 4, 5))
    forecast = observed + rng.normal(0.5, 2, observed.shape)
    for values in (forecast, observed):
        values[rng.random(values.shape) < nan] = np.nan
    return xr.DataArray(forecast, coords, DIMS), xr.DataArray(observed, coords, DIMS)


def _weights(da: xr.DataArray) -> xr.DataArray:
    return np.cos(np.deg2rad(da.latitude))


@pytest.mark.parametrize("dim", [None, "start", ("start", "latitude", "longitude")])
@pytest.mark.parametrize("weighted", [False, True])
def test_error_scores_are_those_of_scores(dim: Any, weighted: bool) -> None:
    forecast, observed = _pair()
    weights = _weights(forecast) if weighted else None
    reduce = list(DIMS) if dim is None else [dim] if isinstance(dim, str) else list(dim)
    for ours, theirs in (
        (verify.bias, continuous.additive_bias),
        (verify.mae, continuous.mae),
        (verify.rmse, continuous.rmse),
    ):
        expected = theirs(forecast, observed, reduce_dims=reduce, weights=weights)
        xr.testing.assert_allclose(ours(forecast, observed, dim=dim, weights=weights), expected, rtol=1e-12)


def test_correlation_is_scipys_on_the_pairs_that_both_have() -> None:
    forecast, observed = _pair()
    both = np.isfinite(forecast.values) & np.isfinite(observed.values)
    expected = stats.pearsonr(forecast.values[both], observed.values[both]).statistic
    np.testing.assert_allclose(verify.pearson_r(forecast, observed), expected, rtol=1e-12)
    constant = xr.full_like(forecast, 1.0)
    assert verify.pearson_r(constant, observed, dim="start").isnull().all()


def test_weighted_correlation_is_that_of_repeated_samples() -> None:
    rng = np.random.default_rng(3)
    x, y, repeat = rng.normal(size=30), rng.normal(size=30), rng.integers(0, 4, 30)
    ours = verify.pearson_r(
        *(xr.DataArray(a, dims="t") for a in (x, y)), weights=xr.DataArray(repeat, dims="t")
    )
    expected = np.corrcoef(np.repeat(x, repeat), np.repeat(y, repeat))[0, 1]
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_anomaly_correlation_centred_and_not() -> None:
    forecast, observed = _pair(nan=0)
    climatology = observed.mean("start")
    f, o = (forecast - climatology).values.ravel(), (observed - climatology).values.ravel()
    expected = (f @ o) / np.sqrt((f @ f) * (o @ o))
    np.testing.assert_allclose(verify.acc(forecast, observed, climatology=climatology), expected, rtol=1e-12)
    centred = verify.acc(forecast, observed, climatology=climatology, centred=True)
    np.testing.assert_allclose(centred, np.corrcoef(f, o)[0, 1], rtol=1e-12)
    drift = verify.acc(
        forecast + 7, observed, climatology=climatology, forecast_climatology=forecast.mean("start") + 7
    )
    f = (forecast - forecast.mean("start")).values.ravel()
    np.testing.assert_allclose(drift, (f @ o) / np.sqrt((f @ f) * (o @ o)), rtol=1e-12)


@pytest.mark.parametrize(("family", "power"), [("gaussian", 0), ("poisson", 1)])
def test_deviance_explained_is_scikit_learns(family: str, power: int) -> None:
    rng = np.random.default_rng(2)
    expected_value = rng.gamma(2, 2, 50)
    observed = rng.poisson(expected_value).astype(float)
    ours = verify.d2(xr.DataArray(expected_value, dims="t"), xr.DataArray(observed, dims="t"), family=family)
    np.testing.assert_allclose(ours, d2_tweedie_score(observed, expected_value, power=power), rtol=1e-12)


def test_deviance_explained_against_a_reference_is_zero_for_the_reference() -> None:
    forecast, observed = _pair()
    reference = observed.mean("start")
    assert verify.d2(reference.broadcast_like(forecast), observed, reference=reference) == 0
    np.testing.assert_allclose(verify.d2(observed, observed, reference=reference), 1)
    with pytest.raises(InputError, match="negative"):
        verify.d2(forecast - 400, observed, family="poisson")
    with pytest.raises(UsageError, match="tweedie"):
        verify.d2(forecast, observed, family="tweedie")


def test_leave_one_out_climatology_has_correlation_minus_one_and_no_deviance_explained() -> None:
    observed = xr.DataArray(np.random.default_rng(0).gamma(2, 10, 30), dims="year")
    left_out = (observed.sum() - observed) / 29
    np.testing.assert_allclose(verify.pearson_r(left_out, observed), -1, atol=1e-10)
    assert verify.d2(left_out, observed, reference=left_out) == 0
    assert verify.d2(left_out, observed) < 0


def test_normalised_scores_in_percent() -> None:
    observed = xr.DataArray([1.0, 2, 3, 4, np.nan], dims="t")
    forecast = xr.DataArray([2.0, 2, 4, 6, 100], dims="t")
    np.testing.assert_allclose(verify.nmb(forecast, observed), 40)
    np.testing.assert_allclose(verify.nrmse(forecast, observed), 100 * np.sqrt(6 / 4) / 2.5)
    expected = np.std([2, 2, 4, 6]) / np.std([1, 2, 3, 4]) - 1
    np.testing.assert_allclose(verify.nmsdb(forecast, observed), 100 * expected)
    assert verify.nmb(forecast, observed - 10).isnull()


def test_coordinates_are_put_in_order_by_value() -> None:
    forecast, observed = _pair()
    expected = verify.rmse(forecast, observed)
    np.testing.assert_allclose(
        verify.rmse(forecast, observed.isel(latitude=[3, 1, 0, 2], lead=[2, 0, 1])), expected
    )
    single = observed.assign_coords(longitude=np.arange(5, dtype=np.float32) + np.float32(1e-6))
    np.testing.assert_allclose(verify.rmse(forecast, single), expected)
    np.testing.assert_allclose(verify.rmse(forecast, observed.transpose(*DIMS[::-1])), expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda o: o.isel(latitude=slice(3)), ["latitude", "4 values", "observed has 3", "40.0"]),
        (
            lambda o: o.assign_coords(latitude=[10.0, 20, 30, 41]),
            ["only in forecast, such as 40", "41"],
        ),
        (lambda o: o.assign_coords(latitude=[10.0, 20, 30, 30]), ["repeated", "latitude"]),
        (lambda o: o.expand_dims(number=2), ["number", "lacks"]),
        (lambda o: o.assign_attrs(units="degC"), ["'K'", "'degC'"]),
        (lambda o: o.assign_coords(valid_time=("start", np.arange(20) + 1)), ["valid_time"]),
    ],
)
def test_what_does_not_belong_together_is_refused(
    change: Callable[[xr.DataArray], xr.DataArray], words: list[str]
) -> None:
    forecast, observed = _pair()
    forecast = forecast.assign_attrs(units="K").assign_coords(valid_time=("start", np.arange(20)))
    with pytest.raises(InputError) as caught:
        verify.rmse(forecast, change(observed))
    for word in words:
        assert word in str(caught.value)


def test_weights_and_dimensions_are_checked() -> None:
    forecast, observed = _pair()
    for wrong in (-_weights(forecast), _weights(forecast).where(forecast.latitude > 10)):
        with pytest.raises(InputError, match="weights must be zero or more"):
            verify.rmse(forecast, observed, weights=wrong)
    with pytest.raises(UsageError, match="no dimension month"):
        verify.rmse(forecast, observed, dim="month")
    with pytest.raises(UsageError, match="Dataset"):
        verify.rmse(forecast.to_dataset(name="a"), observed)


def test_an_empty_sample_has_no_score() -> None:
    forecast, observed = _pair()
    out = verify.rmse(forecast, observed.where(observed.lead != 2), dim=("start", "latitude", "longitude"))
    assert out.isnull().values.tolist() == [False, True, False]


def test_single_precision_is_scored_in_double() -> None:
    forecast, observed = (a.astype(np.float32) for a in _pair(nan=0))
    expected = np.sqrt(np.mean((forecast.values.astype(float) - observed.values.astype(float)) ** 2))
    np.testing.assert_allclose(verify.rmse(forecast, observed), expected, rtol=1e-14)


def test_numpy_arrays_are_taken() -> None:
    forecast, observed = _pair(nan=0)
    np.testing.assert_allclose(
        verify.rmse(forecast.values, observed.values), verify.rmse(forecast, observed), rtol=1e-14
    )
