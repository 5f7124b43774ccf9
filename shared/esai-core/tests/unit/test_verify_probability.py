from __future__ import annotations

import warnings

import numpy as np
import pytest
import xarray as xr
from scores.categorical import BinaryContingencyManager
from sklearn.metrics import brier_score_loss, roc_auc_score

from esai_core import verify
from esai_core.errors import InputError, UsageError

with warnings.catch_warnings():  # its dependencies hold invalid escape sequences, a warning on first import
    warnings.simplefilter("ignore")
    import xskillscore

LABELS = ["below normal", "near normal", "above normal"]


def _events(seed: int = 0, size: int = 400) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    probability = np.round(rng.random(size), 2)
    event = (rng.random(size) < probability).astype(float)
    return xr.DataArray(probability, dims="case"), xr.DataArray(event, dims="case")


def _categories(seed: int = 0) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    coords = {"category": LABELS}
    dims = ("case", "cell", "category")
    probabilities = xr.DataArray(rng.dirichlet([2, 2, 2], (50, 4)), coords, dims)
    truth = xr.DataArray(np.eye(3)[rng.integers(0, 3, (50, 4))], coords, dims)
    return probabilities, truth


def test_brier_is_scikit_learns_and_leaves_out_what_is_missing() -> None:
    probability, event = _events()
    probability[:20] = np.nan
    event[30:40] = np.nan
    both = np.isfinite(probability.values) & np.isfinite(event.values)
    expected = brier_score_loss(event.values[both], probability.values[both])
    np.testing.assert_allclose(verify.brier(probability, event), expected, rtol=1e-12)


def test_brier_refuses_percent_and_other_events() -> None:
    probability, event = _events()
    with pytest.raises(InputError, match=r"outside \[0, 1\].*percent"):
        verify.brier(100 * probability, event)
    with pytest.raises(InputError, match="neither 0 nor 1, such as 2"):
        verify.brier(probability, 2 * event)
    lazy = verify.brier(100 * probability.chunk(case=100), event)
    with pytest.raises(InputError, match="percent"):
        lazy.compute()


def test_exceedance_leaves_out_missing_members_and_keeps_missing_cases() -> None:
    forecast = xr.DataArray([[1.0, 2, 3, np.nan], [np.nan] * 4], dims=("case", "number"))
    np.testing.assert_array_equal(verify.exceedance(forecast, 1.0), [2 / 3, np.nan])
    np.testing.assert_array_equal(
        verify.exceeds(
            xr.DataArray([1.0, 2.0, np.nan, 3.0], dims="case"), xr.DataArray([1.0, 1, 1, np.nan], dims="case")
        ),
        [0, 1, np.nan, np.nan],
    )


def test_climatology_scores_five_two_five_ninths() -> None:
    _, truth = _categories()
    third = xr.full_like(truth, 1 / 3)
    by_category = [verify.rps(third, truth, dim=()).values[truth.sel(category=c) == 1] for c in LABELS]
    for scores, expected in zip(by_category, (5 / 9, 2 / 9, 5 / 9), strict=True):
        np.testing.assert_allclose(scores, expected, rtol=1e-12)
    np.testing.assert_allclose(verify.rpss(third, truth), 0, atol=1e-15)
    assert verify.rpss(truth, truth) == 1


@pytest.mark.parametrize("fair", [False, True])
def test_rps_is_xskillscores(fair: bool) -> None:
    rng = np.random.default_rng(4)
    members = xr.DataArray(rng.normal(size=(60, 3, 9)), dims=("case", "cell", "member"))
    observed = xr.DataArray(rng.normal(size=(60, 3)), dims=("case", "cell"))
    edges = xr.DataArray([-0.4, 0.4], dims="category_edge", coords={"category_edge": [0, 1]})
    expected = xskillscore.rps(observed, members, category_edges=edges, dim="case", fair=fair)
    codes = (members >= -0.4).astype(float) + (members >= 0.4)
    truth = (observed >= -0.4).astype(float) + (observed >= 0.4)
    fractions = verify.category_frequencies(codes, LABELS, member="member")
    ours = (verify.rps_fair if fair else verify.rps)(fractions, truth, dim="case")
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_fair_rps_does_not_depend_on_the_number_of_members() -> None:
    rng = np.random.default_rng(1)
    codes = xr.DataArray(rng.integers(0, 3, (60_000, 12)).astype(float), dims=("case", "number"))
    truth = xr.DataArray(rng.integers(0, 3, 60_000).astype(float), dims="case")
    few, many = (verify.category_frequencies(codes[:, :m], LABELS) for m in (3, 12))
    for fractions in (few, many):
        np.testing.assert_allclose(verify.rps_fair(fractions, truth), 4 / 9, atol=0.006)
        assert abs(verify.rpss_fair(fractions, truth)) < 0.01
    assert verify.rps(few, truth) > 0.55
    np.testing.assert_allclose(verify.rps_fair(few, truth, members=np.inf), verify.rps(few, truth))


def test_frequencies_count_the_members_of_each_case() -> None:
    codes = xr.DataArray(
        [[0, 0, 2, np.nan], [np.nan] * 4, [1, np.nan, np.nan, np.nan]], dims=("case", "number")
    )
    fractions = verify.category_frequencies(codes, LABELS)
    np.testing.assert_allclose(fractions, [[2 / 3, np.nan, 0], [0, np.nan, 1], [1 / 3, np.nan, 0]])
    assert fractions.members.values.tolist() == [3, 0, 1]
    truth = xr.DataArray([0.0, 0, 1], dims="case")
    np.testing.assert_array_equal(verify.rps_fair(fractions, truth, dim=()).isnull(), [False, True, True])
    with pytest.raises(InputError, match="0 to 2, such as 3"):
        verify.category_frequencies(codes + 1, LABELS)


def test_codes_and_one_hot_agree_and_dask_is_numpy() -> None:
    probabilities, truth = _categories()
    probabilities[3:6] = np.nan
    truth[10, 2] = np.nan
    codes = truth.fillna(0).argmax("category").where(truth.notnull().all("category"))
    expected = verify.rps(probabilities, truth, dim="case")
    np.testing.assert_array_equal(verify.rps(probabilities, codes, dim="case"), expected)
    lazy = verify.rps(probabilities.chunk(case=7, category=1), truth.chunk(case=11, category=2), dim="case")
    assert lazy.chunks is not None
    np.testing.assert_allclose(lazy, expected, rtol=1e-14)
    np.testing.assert_allclose(
        verify.rpss(probabilities.transpose("category", ...), codes), verify.rpss(probabilities, truth)
    )


def test_rps_refuses_what_others_accept() -> None:
    probabilities, truth = _categories()
    for labels in (["a", "b", "c"], LABELS[::-1]):
        with pytest.raises(InputError, match="category labels differ"):
            verify.rps(probabilities, truth.assign_coords(category=labels))
    with pytest.raises(InputError, match=r"200 cases are no probabilities: one sums to 0\.5"):
        verify.rps(probabilities / 2, truth)
    negative = probabilities.copy()
    negative[0, 0] = [-0.1, 0.5, 0.6]
    with pytest.raises(InputError, match=r"-0\.1 as least value"):
        verify.rps(negative, truth)
    holed = probabilities.copy()
    holed[2, 1, 0] = np.nan
    with pytest.raises(InputError, match="1 cases have some categories NaN"):
        verify.rps(holed, truth)
    hole_in_truth = truth.copy()
    hole_in_truth[2, 1, 0] = np.nan
    with pytest.raises(InputError, match="observed"):
        verify.rps(probabilities, hole_in_truth)
    with pytest.raises(InputError, match="category codes are not 0 to 2"):
        verify.rps(probabilities, truth.argmax("category") + 1)
    with pytest.raises(UsageError, match="no dimension 'category'"):
        verify.rps(probabilities.isel(category=0), truth)
    with pytest.raises(UsageError, match="number of members"):
        verify.rps_fair(probabilities, truth)
    with pytest.raises(UsageError, match="number of members"):
        verify.rpss_fair(probabilities, truth)


def test_single_precision_probabilities_pass() -> None:
    probabilities, truth = _categories()
    np.testing.assert_allclose(
        verify.rps(probabilities.astype(np.float32), truth), verify.rps(probabilities, truth), rtol=1e-6
    )


def test_skill_against_a_reference_uses_common_cases() -> None:
    probabilities, truth = _categories()
    reference = xr.DataArray([0.2, 0.3, 0.5], {"category": LABELS}, "category")
    assert verify.rpss(reference.broadcast_like(probabilities), truth, reference=reference) == 0
    holed = reference.broadcast_like(probabilities).copy()
    holed[:25] = np.nan
    expected = 1 - verify.rps(probabilities[25:], truth[25:]) / verify.rps(holed[25:], truth[25:])
    np.testing.assert_allclose(verify.rpss(probabilities, truth, reference=holed), expected, rtol=1e-12)


def test_contingency_scores_are_those_of_scores() -> None:
    probability, event = _events()
    said = (probability > 0.6).astype(float)
    said[:10] = np.nan
    ours = verify.categorical_scores(verify.contingency(said, event))
    theirs = BinaryContingencyManager(said, event)
    for name, method in (
        ("h", "probability_of_detection"),
        ("f", "probability_of_false_detection"),
        ("fb", "frequency_bias"),
        ("sr", "success_ratio"),
        ("csi", "critical_success_index"),
        ("pss", "peirce_skill_score"),
    ):
        np.testing.assert_allclose(ours[name], getattr(theirs, method)(), rtol=1e-12)
        np.testing.assert_allclose(verify.event_score(name, said, event), ours[name])
    with pytest.raises(UsageError, match="unknown event score"):
        verify.event_score("hss", said, event)


def test_contingency_weights_and_empty_classes() -> None:
    said, done = (xr.DataArray(v, dims="t") for v in ([1.0, 1, 0, 0], [0.0, 0, 0, 0]))
    table = verify.contingency(said, done, weights=xr.DataArray([1.0, 2, 3, 4], dims="t"))
    assert {k: float(v) for k, v in table.items()} == {
        "hits": 0, "misses": 0, "false_alarms": 3, "correct_negatives": 7,
    }  # fmt: skip
    scores = verify.categorical_scores(table)
    assert scores["h"].isnull()
    assert scores["csi"] == 0
    with pytest.raises(InputError, match="neither 0 nor 1"):
        verify.contingency(said + 1, done)


def test_auc_is_scikit_learns_with_ties_and_weights() -> None:
    probability, event = _events()
    weights = xr.DataArray(np.random.default_rng(1).random(400), dims="case")
    np.testing.assert_allclose(verify.auc(probability, event), roc_auc_score(event, probability), rtol=1e-12)
    np.testing.assert_allclose(
        verify.auc(probability, event, weights=weights),
        roc_auc_score(event, probability, sample_weight=weights),
        rtol=1e-12,
    )
    assert verify.auc(probability, event * 0).isnull()
    assert verify.auc(probability * 0, event) == 0.5
    wide = xr.concat([probability, probability.where(event == 1)], "cell")
    np.testing.assert_array_equal(
        verify.auc(wide.chunk(case=99), event, dim="case"), [verify.auc(probability, event), np.nan]
    )


def test_roc_goes_from_one_to_zero_and_encloses_about_the_area() -> None:
    probability, event = _events(size=4000)
    curve = verify.roc(probability, event, thresholds=np.arange(102) / 100)
    assert curve["h"][0] == curve["f"][0] == 1
    assert curve["h"][-1] == curve["f"][-1] == 0
    area = -np.trapezoid(curve["h"], curve["f"])
    np.testing.assert_allclose(area, curve["auc"], atol=1e-6)


def test_reliability_is_xskillscores_and_consistent() -> None:
    probability, event = _events(size=5000)
    probability = 0.998 * probability + 0.001  # off the edges of the bins
    ours = verify.reliability(probability, event, bins=5)
    edges = np.linspace(0, 1, 6)
    expected = xskillscore.reliability(event.astype(bool), probability, probability_bin_edges=edges)
    np.testing.assert_allclose(ours["observed"], expected, rtol=1e-12)
    np.testing.assert_array_equal(ours["count"], expected["samples"])
    assert ((ours["lower"] <= ours["forecast"]) & (ours["forecast"] <= ours["upper"])).all()
    assert ((ours["lower"] <= ours["observed"]) & (ours["observed"] <= ours["upper"])).all()
    overconfident = verify.reliability((2 * probability - 0.5).clip(0, 1), event, bins=5)
    assert overconfident["observed"][0] > overconfident["upper"][0]
    assert overconfident["observed"][-1] < overconfident["lower"][-1]


def test_reliability_of_an_empty_bin_and_of_chunks() -> None:
    probability, event = _events()
    probability = probability.where(probability > 0.5)
    ours = verify.reliability(probability, event)
    assert ours["count"][0] == 0
    assert ours[["forecast", "observed", "lower"]].isel(bin=0).isnull().to_array().all()
    assert ours["count"].sum() == probability.notnull().sum()
    xr.testing.assert_allclose(verify.reliability(probability.chunk(case=60), event).compute(), ours)
    with pytest.raises(UsageError, match="0 bins"):
        verify.reliability(probability, event, bins=0)
