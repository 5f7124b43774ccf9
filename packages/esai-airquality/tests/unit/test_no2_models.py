from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from esai_airquality.no2 import models
from esai_airquality.no2.applicability import fit_applicability
from esai_airquality.no2.config import No2Section, ValidationSection
from esai_airquality.no2.crossval import (
    Sample,
    block_labels,
    make_folds,
    out_of_fold,
    pair_predictions,
    score_values,
)
from esai_airquality.no2.intervals import blocked_intervals, calibrate
from esai_airquality.no2.predictors import centred_means
from esai_core.errors import InputError, UsageError
from esai_core.splits import k_fold

CONFIG = No2Section(rounds=40, trees=40, threads=1)


def sample(n: int = 1500, *, seed: int = 0, missing: float = 0.0) -> Sample:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    y = np.maximum(20 + 6 * x[:, 0] + 4 * np.abs(x[:, 1]) + x[:, 2] * x[:, 0] + rng.normal(0, 2, n), 0)
    x[rng.random(x.shape) < missing] = np.nan
    return Sample(x.astype(np.float32), y, rng.integers(0, 12, n))


def test_linear_equals_ridge() -> None:
    s = sample()
    made = models.fit("linear", s.rows, s.target, s.month, config=CONFIG, seed=0).predict(s.rows, s.month)
    x = s.rows.astype(np.float64)
    x = (x - x.mean(0)) / x.std(0)
    expected = Ridge(alpha=1e-3 * len(x)).fit(x, s.target).predict(x)
    np.testing.assert_allclose(made, np.maximum(expected, 0), rtol=1e-9)


def test_linear_flags_what_is_missing() -> None:
    s = sample(missing=0.3)
    flagged = np.where(np.isnan(s.rows[:, 0]), 50.0, s.target)
    model = models.fit("linear", s.rows, flagged, s.month, config=CONFIG, seed=0)
    made = model.predict(s.rows, s.month)
    assert abs(made[np.isnan(s.rows[:, 0])].mean() - 50) < 1.0
    assert model.importance(6).argmax() == 0
    assert model.importance(6).sum() == pytest.approx(1)


def test_the_forest_is_as_good_as_that_of_scikit_learn() -> None:
    s, new = sample(), sample(seed=1)
    ours = models.fit("rf", s.rows, s.target, s.month, config=CONFIG, seed=0).predict(new.rows, new.month)
    peer = RandomForestRegressor(40, min_samples_leaf=5, max_features=1 / 3, random_state=0)
    theirs = peer.fit(s.rows, s.target).predict(new.rows)
    r2 = [score_values(values, new.target)["r2"] for values in (ours, theirs)]
    assert r2[0] is not None
    assert r2[1] is not None
    assert r2[0] > r2[1] - 0.02
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97


def test_climatology_is_the_mean_of_the_month() -> None:
    s = sample()
    model = models.fit("climatology", s.rows, s.target, s.month, config=CONFIG, seed=0)
    expected = pd.Series(s.target).groupby(s.month).mean()
    np.testing.assert_allclose(model.predict(s.rows, s.month), expected[s.month].to_numpy())


@pytest.mark.parametrize("method", list(models.FITS))
def test_what_is_held_out_is_not_seen(method: str) -> None:
    s = sample(300)
    folds = k_fold(np.arange(300) // 10, k=3, seed=0)
    made = out_of_fold(s, folds, method, config=CONFIG, seed=0)
    assert np.isfinite(made).all()
    poisoned = s.target.copy()
    poisoned[folds[1].test] = 1e6
    other = Sample(s.rows, poisoned, s.month)
    again = out_of_fold(other, folds, method, config=CONFIG, seed=0)
    np.testing.assert_array_equal(made[folds[1].test], again[folds[1].test])
    pairs = pair_predictions(s, folds, method, config=CONFIG, seed=0)
    pairs_again = pair_predictions(other, folds, method, config=CONFIG, seed=0)
    np.testing.assert_array_equal(pairs[0, 1][0], pairs_again[0, 1][0])
    np.testing.assert_array_equal(pairs[1, 2][1], pairs_again[1, 2][1])


def test_folds_hold_out_what_they_say() -> None:
    rng = np.random.default_rng(0)
    station = np.repeat(np.arange(30), 40)
    lat, lon = rng.uniform(44, 46, 30)[station], rng.uniform(-1, 1, 30)[station]
    days = pd.DatetimeIndex(np.tile(pd.date_range("2019-12-01", periods=40, freq="3D"), 30))
    table = pd.DataFrame({"station": station.astype(str), "latitude": lat, "longitude": lon, "time": days})
    folds = make_folds(table, ValidationSection(blocks=(0.5, 1.0)), seed=0)
    assert list(folds) == ["random", "station", "block_0.5", "block_1", "month", "year_2020"]
    labels = {
        "random": np.arange(1200),
        "station": station,
        "block_0.5": block_labels(lat, lon, degrees=0.5),
        "block_1": np.floor(lat) * 1000 + np.floor(lon),
        "month": days.year * 12 + days.month,
        "year_2020": days.year,
    }
    for name, parts in folds.items():
        for fold in parts:
            assert not set(labels[name][fold.train]) & set(labels[name][fold.test])
        if name != "year_2020":
            assert sorted(np.concatenate([fold.test for fold in parts])) == list(range(1200))
    means = table.groupby("station").first().reset_index().assign(time=pd.NaT)
    assert list(make_folds(means, ValidationSection(), seed=0)) == ["random", "block_0.5"]
    with pytest.raises(InputError, match="one block of 90 degrees"):
        make_folds(table.assign(longitude=5.0), ValidationSection(blocks=(90,)), seed=0)


def test_intervals_hold_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    predicted = rng.gamma(3, 8, 40_000)
    observed = predicted * np.exp(rng.normal(0, 0.3, 40_000))  # errors that grow
    intervals = calibrate(predicted[:20_000], observed[:20_000], coverage=0.9)
    lower, upper = intervals.apply(predicted[20_000:])
    held = (observed[20_000:] >= lower) & (observed[20_000:] <= upper)
    assert abs(held.mean() - 0.9) < 0.012
    high = predicted[20_000:] > np.quantile(predicted, 0.8)
    assert abs(held[high].mean() - 0.9) < 0.03
    with pytest.raises(UsageError, match="cannot calibrate"):
        calibrate(predicted[:10], observed[:10], coverage=0.9)


def test_intervals_of_blocks_are_of_other_blocks() -> None:
    s = sample(600)
    folds = k_fold(np.arange(600) // 10, k=4, seed=0)
    made = out_of_fold(s, folds, "linear", config=CONFIG, seed=0)
    pairs = pair_predictions(s, folds, "linear", config=CONFIG, seed=0)
    lower, upper = blocked_intervals(s.target, made, folds, pairs, coverage=0.9)
    held = (s.target >= lower) & (s.target <= upper)
    assert 0.85 < held.mean() < 0.95
    poisoned = s.target.copy()
    poisoned[folds[2].test] += 1e3
    again = blocked_intervals(poisoned, made, folds, pairs, coverage=0.9)
    np.testing.assert_array_equal(again[0][folds[2].test], lower[folds[2].test])
    np.testing.assert_array_equal(again[1][folds[2].test], upper[folds[2].test])


def test_the_area_of_applicability_follows_its_definition() -> None:
    rng = np.random.default_rng(2)
    rows, part = rng.normal(size=(200, 3)) * [1, 10, 100], rng.integers(0, 4, 200)
    weights = np.array([0.6, 0.3, 0.1])
    area = fit_applicability(rows, part, weights)
    z = (rows - rows.mean(0)) / rows.std(0, ddof=1) * weights
    distance = np.sqrt(((z[:, None] - z[None]) ** 2).sum(-1))
    typical = distance[~np.eye(200, dtype=bool)].mean()
    own = np.where(part[:, None] != part[None], distance, np.inf).min(1) / typical
    q1, q3 = np.quantile(own, [0.25, 0.75])
    assert area.threshold == pytest.approx(own[own <= q3 + 1.5 * (q3 - q1)].max())
    new = rng.normal(size=(50, 3)) * [2, 20, 200]
    zn = (new - rows.mean(0)) / rows.std(0, ddof=1) * weights
    expected = np.sqrt(((zn[:, None] - z[None]) ** 2).sum(-1)).min(1) / typical
    np.testing.assert_allclose(area.index(new), expected)
    assert area.inside(rows).all()
    assert not area.inside(np.full((1, 3), 1e4)).any()
    missing = np.array([[np.nan, 0.0, 0.0]])
    assert area.index(missing) == pytest.approx(area.index(np.array([[rows[:, 0].mean(), 0, 0]])))


def test_means_over_days_equal_those_of_pandas() -> None:
    rng = np.random.default_rng(3)
    values = np.where(rng.random((60, 4)) < 0.5, np.nan, rng.normal(size=(60, 4)))
    values[:20, 2] = np.nan
    expected = pd.DataFrame(values).rolling(7, center=True, min_periods=1).mean()
    np.testing.assert_allclose(centred_means(values, days=7), expected.to_numpy(), atol=1e-12)
