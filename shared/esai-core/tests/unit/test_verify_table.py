from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from esai_core import verify
from esai_core.errors import InputError, UsageError

CASES = ("start", "lead", "latitude", "longitude")


def _world(seed: int = 0) -> tuple[dict[str, xr.DataArray], xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    start = pd.date_range("2000-01-01", periods=24, freq="MS")
    coords: dict[str, Any] = {"start": start, "lead": [1, 2, 3], "latitude": [0.0, 30, 60]}
    coords |= {"longitude": [1.0, 2], "month": ("start", start.month)}
    observed = xr.DataArray(rng.normal(10, 2, (24, 3, 3, 2)), coords, CASES, attrs={"units": "K"})
    members = ("start", "lead", "number", "latitude", "longitude")
    raw = observed + 0.4 + xr.DataArray(rng.normal(0, 1.5, (24, 3, 9, 3, 2)), dims=members)
    climatology = 10 + 0 * observed + xr.DataArray(rng.normal(0, 2, 22), dims="number")
    forecasts = {
        "raw": raw.transpose(*members),
        "climatology": climatology.transpose("number", ...),
        "mean": raw.mean("number"),
    }
    return forecasts, observed, np.cos(np.deg2rad(observed.latitude))


def test_table_is_the_functions_on_the_common_sample() -> None:
    forecasts, observed, weights = _world()
    forecasts["raw"][3, 1] = np.nan
    forecasts["mean"][5, 2, 1] = np.nan
    observed[7] = np.nan
    table = verify.score_table(
        forecasts,
        observed,
        scores=["bias", "rmse", "crps", "crps_fair", "spread", "spread_skill", "acc", "crpss", "d2"],
        by=["lead", "month"],
        weights=weights,
        climatology=observed.mean("start"),
        reference="climatology",
    )
    common = observed.copy()
    common[3, 1] = np.nan
    common[5, 2, 1] = np.nan
    assert table["cases"] == int(common.notnull().sum())
    raw, clim = forecasts["raw"], forecasts["climatology"]
    mean = raw.mean("number")
    expected = {
        "bias": verify.bias(mean, common, weights=weights),
        "rmse": verify.rmse(mean, common, weights=weights),
        "crps": verify.crps(raw, common, weights=weights),
        "crps_fair": verify.crps_fair(raw, common, weights=weights),
        "spread": (verify.ensemble_moments(raw)["variance"].where(common.notnull()).weighted(weights).mean())
        ** 0.5,
        "spread_skill": verify.spread_skill(raw, common, weights=weights),
        "acc": verify.acc(mean, common, climatology=observed.mean("start"), weights=weights),
        "crpss": 1 - verify.crps(raw, common, weights=weights) / verify.crps(clim, common, weights=weights),
        "d2": verify.d2(mean, common, reference=clim.mean("number"), weights=weights),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(table["scores"]["raw"][name], value, rtol=1e-10)
    assert table["scores"]["climatology"]["crpss"] == table["scores"]["climatology"]["d2"] == 0
    assert table["scores"]["mean"]["crps_fair"] is None
    assert table["scores"]["mean"]["spread_skill"] is None
    np.testing.assert_allclose(
        table["scores"]["mean"]["crps"], verify.mae(forecasts["mean"], common, weights=weights), rtol=1e-12
    )
    assert list(table["by_lead"]) == ["1", "2", "3"]
    np.testing.assert_allclose(
        table["by_lead"]["2"]["raw"]["crps"],
        verify.crps(raw.sel(lead=2), common.sel(lead=2), weights=weights),
        rtol=1e-12,
    )
    june = common.start.dt.month == 6
    np.testing.assert_allclose(
        table["by_month"]["6"]["raw"]["rmse"],
        verify.rmse(mean[june], common[june], weights=weights),
        rtol=1e-12,
    )
    assert table["by_month"]["8"]["raw"]["rmse"] is not None
    json.dumps(table, allow_nan=False)


def test_a_group_without_cases_is_none() -> None:
    forecasts, observed, _ = _world()
    observed[:, 1] = np.nan
    table = verify.score_table(forecasts, observed, scores=["rmse", "crps"], by=["lead"])
    assert table["by_lead"]["2"]["raw"] == {"rmse": None, "crps": None}
    assert table["by_lead"]["1"]["raw"]["rmse"] > 0


def test_dask_is_numpy_and_methods_may_come_in_any_order_of_coordinates() -> None:
    forecasts, observed, weights = _world()
    options: dict[str, Any] = {
        "scores": ["rmse", "crps", "spread_skill", "brier", "auc", "csi"], "by": ["lead"], "threshold": 11.0,
        "weights": weights,
    }  # fmt: skip
    expected = verify.score_table(forecasts, observed, **options)
    changed = {
        "raw": forecasts["raw"].chunk(start=5, number=4),
        "climatology": forecasts["climatology"].isel(latitude=[2, 0, 1], lead=[1, 2, 0]),
        "mean": forecasts["mean"].chunk(latitude=1).transpose(*CASES[::-1]),
    }
    _same(verify.score_table(changed, observed.chunk(start=7), **options), expected)


def _same(ours: Any, expected: Any) -> None:
    if isinstance(expected, dict):
        assert list(ours) == list(expected)
        for key in expected:
            _same(ours[key], expected[key])
    elif expected is None:
        assert ours is None
    else:
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-13)


def test_event_scores_of_members_and_means() -> None:
    forecasts, observed, _ = _world()
    table = verify.score_table(forecasts, observed, scores=["brier", "auc", "h", "pss"], threshold=11.0)
    event = verify.exceeds(observed, 11.0)
    probability = verify.exceedance(forecasts["raw"], 11.0)
    np.testing.assert_allclose(table["scores"]["raw"]["brier"], verify.brier(probability, event))
    np.testing.assert_allclose(table["scores"]["raw"]["auc"], verify.auc(probability, event))
    said = verify.exceeds(forecasts["raw"].mean("number"), 11.0)
    np.testing.assert_allclose(table["scores"]["raw"]["h"], verify.event_score("h", said, event))


def test_categories_by_window() -> None:
    rng = np.random.default_rng(0)
    labels = ["below normal", "near normal", "above normal"]
    coords = {"category": labels, "lead_time": pd.to_timedelta([14, 28], "D")}
    dims = ("start", "lead_time", "category")
    truth = xr.DataArray(np.eye(3)[rng.integers(0, 3, (200, 2))], coords, dims)
    truth[4] = np.nan
    codes = xr.DataArray(
        rng.integers(0, 3, (200, 2, 11)).astype(float), dims=("start", "lead_time", "number")
    )
    raw = verify.category_frequencies(codes.assign_coords(lead_time=coords["lead_time"]), labels)
    clim = xr.full_like(truth, 1 / 3)
    forecasts = {"climatology": clim, "raw": raw, "logistic": 0.7 * clim + 0.3 * truth.fillna(1 / 3)}
    table = verify.score_table(
        forecasts,
        truth,
        scores=["rps", "rps_fair", "rpss", "rpss_fair"],
        by=["lead_time"],
        reference="climatology",
    )
    assert list(table["by_lead_time"]) == ["14d", "28d"]
    assert table["cases"] == 398
    assert table["scores"]["climatology"]["rpss"] == 0
    for name in ("rps", "rps_fair"):
        expected = getattr(verify, name)(raw, truth)
        np.testing.assert_allclose(table["scores"]["raw"][name], expected, rtol=1e-12)
    logistic = table["scores"]["logistic"]
    assert logistic["rps_fair"] == logistic["rps"]
    np.testing.assert_allclose(logistic["rpss"], verify.rpss(forecasts["logistic"], truth), rtol=1e-12)
    np.testing.assert_allclose(table["scores"]["raw"]["rpss_fair"], verify.rpss_fair(raw, truth), rtol=1e-12)
    uniform = verify.score_table(forecasts, truth, scores=["rpss"])
    np.testing.assert_allclose(uniform["scores"]["raw"]["rpss"], table["scores"]["raw"]["rpss"], rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scores": ["rsme"]}, "did you mean 'rmse'"),
        ({"scores": ["acc"]}, "acc needs climatology"),
        ({"scores": ["crpss"]}, "crpss needs reference"),
        ({"scores": ["csi"]}, "csi needs threshold"),
        ({"scores": ["rps"]}, "rps is not one of ensemble forecasts"),
        ({"scores": ["crpss"], "reference": "clim"}, "'clim' is no method"),
        ({"scores": ["rmse"], "by": ["leads"]}, "did you mean 'lead'"),
    ],
)
def test_what_is_asked_for_must_make_sense(options: dict[str, Any], words: str) -> None:
    forecasts, observed, _ = _world()
    with pytest.raises(UsageError) as caught:
        verify.score_table(forecasts, observed, **options)
    assert words in str(caught.value)


def test_what_is_given_must_belong_together() -> None:
    forecasts, observed, _ = _world()
    raw = {"raw": forecasts["raw"].assign_attrs(units="K")}
    with pytest.raises(InputError, match=r"units differ: observed in 'degC', raw in 'K'"):
        verify.score_table(raw, observed.assign_attrs(units="degC"), scores=["rmse"])
    with pytest.raises(InputError, match="mean lacks the dimension start"):
        verify.score_table({"mean": forecasts["mean"][0]}, observed, scores=["rmse"])
    with pytest.raises(InputError, match="no case is common"):
        verify.score_table(forecasts, observed * np.nan, scores=["rmse"])
    with pytest.raises(UsageError, match="no forecast"):
        verify.score_table({}, observed, scores=["rmse"])


def test_the_registry_knows_which_way_is_better() -> None:
    assert set(verify.SCORES) >= {
        *(
            "bias",
            "mae",
            "rmse",
            "acc",
            "pearson_r",
            "r",
            "d2",
            "crps",
            "crps_fair",
            "crpss",
            "spread_skill",
            "rps",
        ),
        *(
            "rps_fair",
            "rpss",
            "rpss_fair",
            "brier",
            "nmb",
            "nrmse",
            "nmsdb",
            "pcc",
            "h",
            "f",
            "fb",
            "sr",
            "csi",
        ),
        *("pss", "auc", "spread"),
    }
    rmse, skill, bias = (verify.get_score(name) for name in ("rmse", "crpss", "bias"))
    assert rmse.better(1.0, 2.0)
    assert not rmse.better(2.0, 2.0)
    assert skill.better(0.3, 0.2)
    assert bias.better(0.1, -0.2)
    assert not bias.better(-0.3, 0.2)
    assert rmse.better(1.0, None)
    assert not rmse.better(None, 1.0)
    assert not rmse.better(float("nan"), 1.0)
    assert verify.get_score("spread_skill").better(0.9, 1.2)


def test_skill_of_a_score() -> None:
    score, reference = xr.DataArray([0.5, 1.0, 2.0]), xr.DataArray([1.0, 1.0, 0.0])
    np.testing.assert_array_equal(verify.skill_score(score, reference), [0.5, 0, np.nan])
    np.testing.assert_allclose(verify.skill_score(xr.DataArray(0.9), xr.DataArray(0.8), perfect=1.0), 0.5)
