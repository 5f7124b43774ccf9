"""The contest scores against the golden case, and what they must refuse."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_s2s import challenge_rpss, quest_rpss, rpss_by_cell

Case = tuple[xr.Dataset, xr.Dataset]
OFFICIAL = 0.21234250301297827


def test_the_golden_case_scores_as_published(golden: Case) -> None:
    observed, forecast = golden
    assert challenge_rpss(observed, forecast, mode="official") == pytest.approx(OFFICIAL, abs=1e-12)
    assert challenge_rpss(observed, forecast, mode="strict") == pytest.approx(OFFICIAL, abs=1e-12)
    assert challenge_rpss(observed, xr.full_like(forecast, 1 / 3), mode="official") == pytest.approx(
        0, abs=1e-12
    )


def test_each_variable_and_lead_of_the_golden_case(golden: Case) -> None:
    observed, forecast = golden
    for name, expected in {"t2m": (0.274615, 0.274502), "tp": (0.150050, 0.150203)}.items():
        for lead, value in enumerate(expected):
            one = [ds[[name]].isel(lead_time=[lead]) for ds in golden]
            assert challenge_rpss(*one) == pytest.approx(value, abs=1e-6)
    assert observed.sizes == forecast.sizes


def test_a_missing_third_is_let_through_by_official_and_punished_by_strict(golden: Case) -> None:
    observed, forecast = golden
    holed = forecast.assign(t2m=forecast["t2m"].where(forecast["longitude"] < 240))
    assert challenge_rpss(observed, holed, mode="official") == pytest.approx(0.21234, abs=1e-5)
    assert challenge_rpss(observed, holed, mode="strict") == pytest.approx(-0.41853, abs=1e-5)


def _small(golden: Case) -> Case:
    pick = {"latitude": slice(0, 121, 20), "longitude": slice(0, 240, 30), "forecast_time": slice(0, 12)}
    return tuple(ds.isel(pick) for ds in golden)  # type: ignore[return-value]


def test_strict_asks_for_no_forecast_where_the_truth_is_masked(golden: Case) -> None:
    known = xr.DataArray(np.arange(12) % 3 > 0, dims="forecast_time")
    observed, forecast = (ds.where(known) for ds in _small(golden))
    strict, official = (challenge_rpss(observed, forecast, mode=mode) for mode in ("strict", "official"))
    assert strict == pytest.approx(official, abs=1e-12)


def test_fair_is_strict_less_the_noise_of_few_members(golden: Case) -> None:
    observed, forecast = _small(golden)
    counts = xr.apply_ufunc(lambda p: np.eye(3)[p.argmax(-1)], forecast, input_core_dims=[["category"]],
                            output_core_dims=[["category"]]).transpose(*forecast["t2m"].dims)  # fmt: skip
    smooth = 0.5 * counts + 0.5 / 3
    one = smooth["t2m"]
    below = one.cumsum("category").isel(category=slice(0, 2))
    truth = observed["t2m"].cumsum("category", skipna=False).isel(category=slice(0, 2))
    plain = (
        ((below - truth) ** 2 - below * (1 - below) / 3).sum("category", skipna=False).mean("forecast_time")
    )
    base = ((np.array([1 / 3, 2 / 3])[:, None, None, None, None] - truth) ** 2).sum("category", skipna=False)
    by_hand = (1 - plain / base.mean("forecast_time")).clip(-10, 1)
    ours = rpss_by_cell(observed["t2m"], one, mode="fair", members=4).isel(year=0)
    np.testing.assert_allclose(ours.values, by_hand.values, atol=1e-12)
    assert challenge_rpss(observed, smooth, mode="fair", members=4) > challenge_rpss(observed, smooth)
    assert challenge_rpss(observed, smooth, mode="fair", members=np.inf) == pytest.approx(
        challenge_rpss(observed, smooth, mode="strict"), abs=1e-12
    )


def test_fair_without_members_and_unknown_modes_are_refused(golden: Case) -> None:
    with pytest.raises(UsageError, match="number of members"):
        challenge_rpss(*_small(golden), mode="fair")
    with pytest.raises(UsageError, match="strict"):
        challenge_rpss(*_small(golden), mode="stritc")  # type: ignore[arg-type]


def test_mismatched_labels_are_refused_not_scored_zero(golden: Case) -> None:
    observed, forecast = _small(golden)
    other = forecast.assign_coords(category=["low", "mid", "high"])
    with pytest.raises(InputError, match="category labels differ"):
        challenge_rpss(observed, other)
    with pytest.raises(InputError, match="category labels differ"):
        challenge_rpss(observed, forecast.isel(category=[2, 1, 0]))


def test_sums_other_than_one_are_refused(golden: Case) -> None:
    observed, forecast = _small(golden)
    with pytest.raises(InputError, match=r"no probabilities: one sums to"):
        challenge_rpss(observed, forecast * 1.1)


def test_a_category_that_is_missing_alone_is_refused_not_taken_as_zero(golden: Case) -> None:
    observed, forecast = _small(golden)
    holed = forecast.where(forecast["category"] != "near normal")
    with pytest.raises(InputError, match="some categories NaN"):
        challenge_rpss(observed, holed)


def test_a_missing_variable_is_refused(golden: Case) -> None:
    observed, forecast = _small(golden)
    with pytest.raises(InputError, match="no variable tp"):
        challenge_rpss(observed, forecast[["t2m"]])


def test_the_quest_takes_the_ratio_of_global_means() -> None:
    rng = np.random.default_rng(2)
    shape = (6, 8)
    code = rng.integers(0, 5, shape)
    truth = np.moveaxis(np.eye(5)[code], -1, 0)
    p = np.moveaxis(rng.dirichlet(np.ones(5), shape), -1, 0)
    dims = ("category", "latitude", "longitude")
    coords = {
        "category": list("abcde"),
        "latitude": np.linspace(75, -75, 6),
        "longitude": np.arange(8) * 45.0,
    }
    land = (rng.random(shape) < 0.6).astype(float)
    ours = quest_rpss(
        xr.DataArray(truth, coords, dims),
        xr.DataArray(p, coords, dims),
        land_fraction=xr.DataArray(land, dims=dims[1:], coords={k: coords[k] for k in dims[1:]}),
    )
    weight = np.cos(np.deg2rad(coords["latitude"]))[:, None] * (land >= 0.5)

    def score(q: np.ndarray) -> float:
        return float((((q.cumsum(0) - truth.cumsum(0))[:4] ** 2).sum(0) * weight).sum())

    assert float(ours) == pytest.approx(1 - score(p) / score(np.full_like(p, 0.2)), abs=1e-12)


def test_the_quest_refuses_a_forecast_that_is_missing() -> None:
    coords = {"category": list("abcde"), "latitude": [0.0, 30.0], "longitude": [0.0, 90.0]}
    truth = np.zeros((5, 2, 2))
    truth[2] = 1.0
    observed = xr.DataArray(truth, coords, tuple(coords))
    forecast = xr.full_like(observed, 0.2)
    assert float(quest_rpss(observed, forecast)) == pytest.approx(0.0)
    holed = forecast.where(forecast["latitude"] > 10)
    with pytest.raises(InputError, match="2 forecasts are missing"):
        quest_rpss(observed, holed)
    assert float(quest_rpss(observed.where(observed["latitude"] > 10), holed)) == pytest.approx(0.0)
