from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from esai_airquality.reanalysis.config import METHODS, ModelSection
from esai_airquality.reanalysis.residuals import fit_residual, predict_residual
from esai_airquality.reanalysis.sample import Sample, spread_within_cells
from esai_airquality.reanalysis.trends import PENALTIES, fit_trend
from esai_airquality.reanalysis.validation import chosen_elsewhere, cross_validate, interval_factors, rmse


def made_up(stations: int = 40, periods: int = 3, seed: int = 0) -> Sample:
    """Residuals of altitude and of a wave in space."""
    rng = np.random.default_rng(seed)
    lat, lon = rng.uniform(36, 44, stations), rng.uniform(-9, 4, stations)
    altitude = rng.uniform(0, 2000, stations)
    place = np.tile(np.arange(stations), periods)
    period = np.repeat(np.arange(periods), stations)
    modelled = 60 + 5 * rng.normal(size=place.size)
    residual = 0.01 * altitude[place] - 8 + 6 * np.sin(lat[place]) + rng.normal(0, 1, place.size)
    return Sample(
        stations=tuple(f"S{number}" for number in range(stations)),
        latitude=lat,
        longitude=lon,
        periods=tuple(f"2018-0{number + 1}" for number in range(periods)),
        months=np.arange(1.0, periods + 1),
        place=place,
        period=period,
        observed=modelled + residual,
        modelled=modelled,
        has_model=True,
        names=("altitude",),
        predictors=altitude[:, None],
    )


def test_the_ridge_is_that_of_sklearn() -> None:
    sample = made_up()
    trend = fit_trend(sample, "ridge", trees=10, seed=0)
    x = trend.columns.make(sample)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    peers = [Ridge(alpha=penalty * len(x)).fit(z, sample.residual).predict(z) for penalty in PENALTIES]
    assert min(np.abs(peer - trend.fitted).max() for peer in peers) < 1e-9
    assert np.allclose(trend.predict(sample), trend.fitted)


def test_learning_and_kriging_beat_interpolation_where_altitude_matters() -> None:
    sample = made_up()
    table = cross_validate(sample, ModelSection(trees=10, block_km=300), seed=0)
    loso = table[table["scheme"] == "loso"]
    scores = {name: rmse(loso, name) for name in METHODS}
    assert scores["ridge_kriging"] < 0.6 * scores["idw"] < scores["raw"]
    assert scores["forest_kriging"] < scores["idw"]
    blocks = table[table["scheme"] == "blocks"]
    assert (blocks["distance"].to_numpy() >= loso["distance"].to_numpy() - 1e-9).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_left_out_station_is_not_seen(method: str) -> None:
    sample = made_up(stations=25)
    out = sample.of_places(np.array([3]))
    poisoned = replace(sample, observed=np.where(out, 1e6, sample.observed))
    results = []
    for one in (sample, poisoned):
        fit = fit_residual(one.cases(~out), method, trees=10, variance=True)
        results.append(predict_residual(fit, one.cases(out)))
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])
    assert np.isfinite(results[0][1]).all()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_cases_does_not_matter(seed: int) -> None:
    sample = made_up(stations=20, seed=seed)
    order = np.random.default_rng(seed).permutation(len(sample.place))
    for method in ("idw", "kriging", "ridge_kriging"):
        one = predict_residual(fit_residual(sample, method), sample)[0]
        other = predict_residual(fit_residual(sample.cases(order), method), sample.cases(order))[0]
        assert np.allclose(one[order], other, rtol=0, atol=1e-6)


def test_the_variance_grows_with_the_distance_to_the_stations() -> None:
    sample = made_up()
    fit = fit_residual(sample, "ridge_kriging")
    away = replace(sample, latitude=sample.latitude + 20)
    assert predict_residual(fit, sample)[1].mean() < predict_residual(fit, away)[1].mean()


def test_intervals_hold_what_they_say_and_the_choice_is_blind_to_its_station() -> None:
    sample = made_up(stations=60)
    table = cross_validate(sample, ModelSection(methods=("raw", "idw", "kriging"), block_km=300), seed=0)
    loso = table[table["scheme"] == "loso"].reset_index(drop=True)
    _, factors = interval_factors(loso, "kriging", 0.9)
    held = (loso["kriging"] - loso["observed"]).abs() <= factors * loso["sd_kriging"]
    assert abs(held.mean() - 0.9) < 0.04
    changed = loso.copy()
    changed.loc[changed["station"] == "S5", "observed"] += 1e4
    for before, after in zip(
        *(chosen_elsewhere(t, ["raw", "idw", "kriging"])[1] for t in (loso, changed)), strict=True
    ):
        assert before in ("idw", "kriging")
        assert after in ("raw", "idw", "kriging")
    own = loso["station"] == "S5"
    one, other = (chosen_elsewhere(t, ["raw", "idw", "kriging"])[0][own] for t in (loso, changed))
    assert one.equals(other)


def test_stations_of_one_cell_tell_the_representativity() -> None:
    sample = made_up(stations=4, periods=1)
    same = replace(sample, latitude=np.full(4, 40.1), longitude=np.full(4, 3.1))
    spread, cells = spread_within_cells(same, size=0.75)
    assert cells == 1
    assert np.isclose(spread, np.std(sample.residual, ddof=1))
    apart = replace(sample, latitude=np.arange(4.0) * 5, longitude=np.zeros(4))
    assert spread_within_cells(apart, size=0.75) == (None, 0)
