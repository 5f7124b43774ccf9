"""Conformal intervals against MAPIE, closed forms, and laws that are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import PredefinedSplit

from esai_core import splits, uncertainty
from esai_core.errors import UsageError
from esai_core.uncertainty import (
    AdaptiveConformal,
    ConformalQuantiles,
    CrossConformal,
    Interval,
    SplitConformal,
    conformal_quantile,
    ensemble_interval,
    interval_scores,
    interval_sums,
    scores_of_sums,
    with_interval,
)

EXACT = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def table(rng):
    """A linear law with errors that grow with the first predictor: x, y."""
    x = rng.uniform(0, 4, size=(600, 3))
    return x, x @ [1.0, -2.0, 0.5] + rng.normal(size=600) * (0.5 + x[:, 0])


@pytest.mark.parametrize("n", [9, 10, 19, 57, 400])
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_without_blocks_it_is_the_order_statistic(rng, n, coverage):
    scores = rng.normal(size=(n, 3))
    expected = np.sort(scores, axis=0)[int(np.ceil(coverage * (n + 1) - 1e-9)) - 1]
    np.testing.assert_array_equal(conformal_quantile(scores, coverage=coverage), expected)
    singles = conformal_quantile(scores, coverage=coverage, blocks=rng.permutation(n))
    np.testing.assert_array_equal(singles, expected)
    np.testing.assert_array_equal(
        conformal_quantile(scores, coverage=coverage, blocks=np.arange(n), strict=True), expected
    )


def test_missing_scores_are_left_out_and_empty_columns_stay_missing(rng):
    scores = rng.normal(size=(50, 3))
    scores[10:20, 0] = np.nan
    scores[:, 1] = np.nan
    scores[5:, 2] = np.nan
    found = conformal_quantile(scores, coverage=0.9)
    kept = scores[~np.isnan(scores[:, 0]), :1]
    assert found[0] == conformal_quantile(kept, coverage=0.9)[0]
    assert np.isnan(found[1])
    assert np.isinf(found[2])  # 5 cases cannot say what 90 % of them stay below


def test_strict_quantile_is_that_of_the_weighted_law(rng):
    blocks = np.repeat(np.arange(12), rng.integers(1, 9, 12))
    scores = rng.normal(size=len(blocks))
    size = np.bincount(blocks)[blocks]
    candidates = [q for q in np.sort(scores) if ((scores <= q) / size).sum() / 13 >= 0.8 - 1e-12]
    assert conformal_quantile(scores, coverage=0.8, blocks=blocks, strict=True) == candidates[0]


def test_equal_cases_of_a_block_count_once(rng):
    blocks, single = np.repeat(np.arange(24), 25), rng.normal(size=24)
    found = conformal_quantile(single[blocks], coverage=0.9, blocks=blocks)
    assert found == conformal_quantile(single, coverage=0.9)
    assert conformal_quantile(single[blocks], coverage=0.9) < found


@pytest.mark.parametrize("strict", [False, True])
def test_new_blocks_are_covered(rng, strict):
    """Blocks of 20 with a shared error: 88-92 % of new blocks' truths (at least that with the guarantee)."""
    inside = []
    for _ in range(300):
        shared = rng.normal(size=(31, 1))
        score = np.abs(shared + rng.normal(size=(31, 20)))
        blocks = np.repeat(np.arange(30), 20)
        q = conformal_quantile(score[:30].ravel(), coverage=0.9, blocks=blocks, strict=strict)
        inside.append((score[30] <= q).mean())
    assert 0.88 <= np.mean(inside) <= (0.95 if strict else 0.92)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"coverage": 1.0}, "between 0 and 1"),
        ({"coverage": 0.9, "strict": True}, "give the block"),
        ({"coverage": 0.9, "blocks": np.zeros(8)}, "at least two blocks"),
        ({"coverage": 0.9, "blocks": np.zeros(3)}, "one label for each of 8"),
        ({"coverage": 0.9}, "at least 9"),
        ({"coverage": 0.9, "blocks": np.arange(8) // 2, "strict": True}, "at least 9"),
    ],
)
def test_quantile_refuses(options, words):
    with pytest.raises(UsageError, match=words):
        conformal_quantile(np.arange(8.0), **options)


def test_split_is_that_of_mapie(table):
    mapie = pytest.importorskip("mapie.regression")
    x, y = table
    model = LinearRegression().fit(x[:200], y[:200])
    peer = mapie.SplitConformalRegressor(model, confidence_level=0.9, prefit=True).conformalize(
        x[200:400], y[200:400]
    )
    lower, upper = (
        SplitConformal(coverage=0.9)
        .fit(y[200:400], model.predict(x[200:400]))
        .interval(model.predict(x[400:]))
    )
    expected = peer.predict_interval(x[400:])[1][..., 0]
    np.testing.assert_allclose(np.stack([lower, upper], 1), expected, **EXACT)


def test_cross_is_that_of_mapie(table):
    mapie = pytest.importorskip("mapie.regression")
    x, y = table
    x, y, new = x[:300], y[:300], x[300:]
    folds = splits.k_fold(np.arange(300) // 10, k=6)
    part = np.empty(300, int)
    for number, fold in enumerate(folds):
        part[fold.test] = number
    peer = mapie.CrossConformalRegressor(
        LinearRegression(), confidence_level=0.9, method="plus", cv=PredefinedSplit(part)
    ).fit_conformalize(x, y)
    ours = CrossConformal(coverage=0.9).fit(
        lambda a, b: LinearRegression().fit(a, b).predict, x, y, folds=folds
    )
    expected = peer.predict_interval(new)[1][..., 0]
    np.testing.assert_allclose(np.stack(ours.interval(new), 1), expected, **EXACT)


def test_quantiles_are_those_of_mapie(table):
    mapie = pytest.importorskip("mapie.regression")
    x, y = table

    class Line(LinearRegression):
        def __init__(self, shift=0.0):
            super().__init__()
            self.shift = shift

        def predict(self, x):
            return super().predict(x) + self.shift

    low, high, middle = (Line(shift).fit(x[:200], y[:200]) for shift in (-1.0, 1.5, 0.0))
    peer = mapie.ConformalizedQuantileRegressor([low, high, middle], confidence_level=0.9, prefit=True)
    peer.conformalize(x[200:400], y[200:400])
    new = x[400:]
    for symmetric in (True, False):
        ours = ConformalQuantiles(coverage=0.9, symmetric=symmetric)
        ours.fit(y[200:400], low.predict(x[200:400]), high.predict(x[200:400]))
        found = np.stack(ours.interval(low.predict(new), high.predict(new)), 1)
        expected = peer.predict_interval(new, symmetric_correction=symmetric)[1][..., 0]
        np.testing.assert_allclose(found, expected, **EXACT)


def _share(y, interval):
    return ((interval.lower <= y) & (y <= interval.upper)).mean()


def test_known_laws_are_covered(rng):
    """Skewed, heteroscedastic errors of a known law, a model that is wrong: 88-92 % all the same."""
    x = rng.uniform(0, 3, 12000)
    y = np.sin(2 * x) + (rng.gamma(2.0, 1.0, 12000) - 2) * (0.3 + x)
    wrong, spread = 0.2 * x, 0.3 + x
    fit, new = slice(0, 6000), slice(6000, None)
    plain = SplitConformal(coverage=0.9).fit(y[fit], wrong[fit]).interval(wrong[new])
    scaled = SplitConformal(coverage=0.9).fit(y[fit], wrong[fit], scale=spread[fit])
    scaled = scaled.interval(wrong[new], scale=spread[new])
    sided = SplitConformal(coverage=0.9, symmetric=False).fit(y[fit], wrong[fit]).interval(wrong[new])
    low, high = wrong - spread, wrong + spread
    corrected = (
        ConformalQuantiles(coverage=0.9).fit(y[fit], low[fit], high[fit]).interval(low[new], high[new])
    )
    for interval in (plain, scaled, sided, corrected):
        assert 0.88 <= _share(y[new], interval) <= 0.92
    near = x[new] < 0.5  # where errors are small, the scaled interval still holds what it says
    assert _share(y[new][near], type(plain)(plain.lower[near], plain.upper[near])) > 0.97
    assert abs(_share(y[new][near], type(scaled)(scaled.lower[near], scaled.upper[near])) - 0.9) < 0.05
    assert abs(interval_scores(y[new], *sided)["below"] - 0.05) < 0.012
    assert (
        interval_scores(y[new], *scaled)["interval_score"] < interval_scores(y[new], *plain)["interval_score"]
    )


def test_scores_of_parts_are_those_of_the_whole(rng):
    """Against plain means over all cases."""
    y, low = rng.normal(size=(60, 7)), rng.normal(size=(60, 7)) - 1
    high = low + 2 + rng.random((60, 7))
    y[3, 2], high[5, 5], low[:, 6] = np.nan, np.inf, np.nan
    blocks = np.arange(60) // 5
    parts = [
        interval_sums(y[at], low[at], high[at], coverage=0.8) for at in np.split(np.arange(60), [7, 8, 40])
    ]
    found = scores_of_sums(np.concatenate(parts), blocks=blocks)
    assert found == pytest.approx(interval_scores(y, low, high, coverage=0.8, blocks=blocks))
    there = ~(np.isnan(y) | np.isnan(low))
    bounded = there & np.isfinite(high)
    assert found["cases"] == there.sum() == 359
    assert found["coverage"] == pytest.approx(((low <= y) & (y <= high))[there].mean())
    assert found["unbounded"] == pytest.approx(1 / 359)
    miss = 10 * (np.maximum(low - y, 0) + np.maximum(y - high, 0))
    assert found["interval_score"] == pytest.approx((high - low + miss)[bounded].mean())


def test_cross_covers_a_dependent_series(rng):
    """A trend fitted on blocks of an AR(1) series; mean over 40 worlds 88-92 %."""
    shares = []
    for _ in range(40):
        noise = rng.normal(size=1000)
        error = np.zeros(1000)
        for t in range(1, 1000):
            error[t] = 0.8 * error[t - 1] + 0.6 * noise[t]
        x = rng.normal(size=(1000, 2))
        y = x @ [1.0, 0.5] + error
        folds = splits.k_fold(np.arange(500) // 25, k=5)
        ours = CrossConformal(coverage=0.9)
        ours.fit(lambda a, b: LinearRegression().fit(a, b).predict, x[:500], y[:500], folds=folds)
        shares.append(_share(y[500:], ours.interval(x[500:])))
    assert 0.88 <= np.mean(shares) <= 0.92


def test_cells_are_calibrated_apart_or_together(rng):
    size = np.array([[0.5, 1.0], [2.0, 4.0]])
    y = rng.normal(size=(4000, 2, 2)) * size
    f = xr.DataArray(np.zeros((2000, 2, 2)), dims=("time", "latitude", "longitude"))
    apart = SplitConformal(coverage=0.9).fit(y[:2000], np.zeros((2000, 2, 2))).interval(f)
    assert apart.lower.dims == f.dims
    inside = ((apart.lower <= y[2000:]) & (y[2000:] <= apart.upper)).mean("time")
    assert ((inside >= 0.88) & (inside <= 0.92)).all()
    together = SplitConformal(coverage=0.9, pooled=True).fit(y[:2000], np.zeros((2000, 2, 2)))
    assert together.below.shape == ()
    inside = ((together.interval(f).lower <= y[2000:]) & (y[2000:] <= together.interval(f).upper)).mean(
        "time"
    )
    assert 0.88 <= inside.mean() <= 0.92
    assert inside[0, 0] > 0.99
    assert inside[1, 1] < 0.8


def test_a_calibration_is_saved_as_json(rng):
    ours = SplitConformal(coverage=0.8, symmetric=False).fit(rng.normal(size=(99, 2)), np.zeros((99, 2)))
    again = SplitConformal.from_dict(json.loads(json.dumps(ours.to_dict())))
    for one, other in zip(ours.interval(np.ones(2)), again.interval(np.ones(2)), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(UsageError, match="call fit"):
        SplitConformal().interval(0.0)
    with pytest.raises(UsageError, match="scales of 0"):
        SplitConformal().fit(np.zeros(20), np.zeros(20), scale=np.zeros(20))


def test_corrected_quantiles_do_not_cross():
    truth = np.zeros(50)
    ours = ConformalQuantiles(coverage=0.8).fit(truth, truth - 5, truth + 5)
    lower, upper = ours.interval(np.array([-1.0, -9.0]), np.array([2.0, 9.0]))
    np.testing.assert_array_equal(lower, [0.5, -4.0])
    np.testing.assert_array_equal(upper, [0.5, 4.0])


def _slow_adaptive(y, f, c, gamma, window, delay, spin_up):
    alpha, half = 1 - c, []
    for now in range(len(y)):
        known = now - delay
        if known >= 0 and half[known] is not None and not np.isnan(y[known]):
            alpha += gamma * ((1 - c) - float(abs(y[known] - f[known]) > half[known]))
        past = [abs(y[i] - f[i]) for i in range(max(0, known + 1 - window), known + 1)]
        past = sorted(p for p in past if not np.isnan(p))
        rank = int(np.ceil((1 - alpha) * (len(past) + 1) - 1e-9))
        if len(past) < spin_up:
            half.append(None)
        else:
            half.append(0.0 if rank < 1 else np.inf if rank > len(past) else past[rank - 1])
    return np.array([np.nan if h is None else h for h in half])


@pytest.mark.parametrize("delay", [1, 4])
def test_adaptive_is_the_plain_recursion(rng, delay):
    y = rng.normal(size=(300, 2)) * np.linspace(1, 3, 300)[:, None]
    y[50:60, 1] = np.nan
    f = np.zeros((300, 2))
    ours, _ = AdaptiveConformal(coverage=0.8, gamma=0.05, window=60, delay=delay, spin_up=10).intervals(y, f)
    for column in range(2):
        expected = _slow_adaptive(y[:, column], f[:, column], 0.8, 0.05, 60, delay, 10)
        np.testing.assert_allclose(ours.upper[:, column], expected)


def test_adaptive_covers_where_fixed_intervals_do_not(rng):
    drift = np.where(np.arange(6000) < 2000, 1.0, 1.0 + np.arange(6000) / 1500)
    y, f = rng.normal(size=6000) * drift, np.zeros(6000)
    fixed = SplitConformal(coverage=0.9).fit(y[:500], f[:500]).interval(f[500:])
    assert _share(y[500:], fixed) < 0.7
    ours, levels = AdaptiveConformal(coverage=0.9, gamma=0.02, window=300).intervals(y, f)
    assert 0.88 <= interval_scores(y, *ours)["coverage"] <= 0.92
    assert interval_scores(y, *ours)["unbounded"] < 0.01
    # proposition 4.1
    judged = ~np.isnan(ours.upper)
    missed = (np.abs(y) > ours.upper)[judged].mean()
    assert abs(missed - 0.1) <= (0.9 + 0.02) / (0.02 * judged.sum())
    assert np.isfinite(levels).all()


def test_adaptive_looks_at_nothing_unknown(rng):
    y, f = rng.normal(size=400), np.zeros(400)
    ours = AdaptiveConformal(delay=5)
    first, _ = ours.intervals(y, f)
    poisoned = y.copy()
    poisoned[300:] = 1e6
    second, _ = ours.intervals(poisoned, f)
    np.testing.assert_array_equal(first.upper[:305], second.upper[:305])
    assert first.upper[305] != second.upper[305] or first.upper[330] != second.upper[330]


def test_ensemble_interval_covers_like_its_members(rng):
    world = rng.normal(size=(20, 5000))
    lower, upper = ensemble_interval(world[:19], coverage=0.9)
    np.testing.assert_allclose(lower, world[:19].min(0))
    assert 0.88 <= ((lower <= world[19]) & (world[19] <= upper)).mean() <= 0.92
    holes = world[:19].copy()
    holes[10:, 0] = np.nan
    first = ensemble_interval(holes, coverage=0.5)
    np.testing.assert_allclose(
        [first.lower[0], first.upper[0]], np.quantile(world[:10, 0], [0.25, 0.75], method="weibull")
    )
    np.testing.assert_allclose(first.lower[1:], ensemble_interval(world[:19], coverage=0.5).lower[1:])


def test_interval_scores_against_closed_forms(rng):
    scoringrules = pytest.importorskip("scoringrules")
    y = rng.normal(size=20000)
    half = stats.norm.ppf(0.95)
    low, high = np.full(y.shape, -half), np.full(y.shape, half)
    found = interval_scores(y, low, high, coverage=0.9, blocks=np.arange(20000) // 100)
    assert abs(found["coverage"] - 0.9) < 0.01
    assert found["coverage_low"] < found["coverage"] < found["coverage_high"]
    assert abs(found["below"] - 0.05) < 0.006
    np.testing.assert_allclose(found["width"], 2 * half)
    expected = scoringrules.interval_score(y, low, high, 0.1).mean()
    np.testing.assert_allclose(found["interval_score"], expected)
    y[:5], high[5:7] = np.nan, np.inf
    found = interval_scores(y, low, high, coverage=0.9)
    assert found["cases"] == 19995
    np.testing.assert_allclose(found["unbounded"], 2 / 19995)


def test_time_blocks_count_from_the_earliest():
    times = np.array(["2001-01-11", "2001-01-01", "2001-01-10T23", "2001-02-01"], "M8[ns]")
    assert uncertainty.time_blocks(times, days=10).tolist() == [1, 0, 0, 3]
    with pytest.raises(UsageError, match="list of dates"):
        uncertainty.time_blocks([1, 2], days=10)


def test_a_product_carries_its_interval():
    main = xr.DataArray(np.zeros((2, 3), np.float32), dims=("time", "cell"), attrs={"units": "K"})
    ds = xr.Dataset({"t2m": main.assign_attrs(long_name="2 metre temperature")})
    made = with_interval(ds, "t2m", Interval(main - 1.0, main.values + 2.0), coverage=0.8, comment="split")
    assert made["t2m"].attrs["ancillary_variables"] == "t2m_lower t2m_upper"
    assert made["t2m_lower"].attrs["units"] == "K"
    assert made["t2m_upper"].attrs["long_name"].startswith("upper end of the 80 % prediction interval of 2 m")
    assert float(made["t2m_upper"].min()) == 2.0
    assert made["t2m_upper"].dtype == np.float32
    assert "ancillary_variables" not in ds["t2m"].attrs
    with pytest.raises(UsageError, match="no variable 'tp'"):
        with_interval(ds, "tp", Interval(main, main))
