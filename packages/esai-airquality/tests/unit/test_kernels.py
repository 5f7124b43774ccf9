from __future__ import annotations

import numpy as np
import pytest
from pykalman import KalmanFilter

from esai_airquality.mos.kernels import analogs, kalman, moving_average, persistence
from esai_airquality.mos.quantiles import BINS, count_pairs, map_quantiles, quantiles_of


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    observed = rng.gamma(2.0, 5.0, (40, 24, 3))
    forecast = observed + rng.normal(2.0, 3.0, observed.shape)
    observed[rng.random(observed.shape) < 0.1] = np.nan
    return forecast, observed


def test_the_filter_is_that_of_pykalman(pair: tuple[np.ndarray, np.ndarray]) -> None:
    forecast, observed = pair
    ratio = 0.06
    x = kalman(np.zeros((24, 3)), np.ones((24, 3)), forecast, observed, ratio)
    for h, s in [(0, 0), (13, 1), (23, 2)]:
        oracle = KalmanFilter(
            transition_matrices=[[1.0]],
            observation_matrices=[[1.0]],
            transition_covariance=[[ratio]],
            observation_covariance=[[1.0]],
            initial_state_mean=[0.0],
            initial_state_covariance=[[1.0 + ratio]],  # before the first observation: p' = p + r
        )
        error = np.ma.masked_invalid((forecast - observed)[:, h, s])
        mean, _ = oracle.filter(error)
        assert np.allclose(x[:, h, s], mean[:, 0], rtol=0, atol=1e-10)


def test_windows_are_those_of_numpy(pair: tuple[np.ndarray, np.ndarray]) -> None:
    forecast, observed = pair
    lead, t = 2, 20
    mean = np.nanmean((forecast - observed)[t - lead - 6 : t - lead + 1], axis=0)
    ma = moving_average(forecast, observed, lead=lead, count=7, first=t, stop=t + 1)[0]
    assert np.allclose(ma, np.maximum(forecast[t] - mean, 0))
    pers = persistence(observed, lead=lead, count=3, first=t, stop=t + 1)[0]
    assert np.allclose(pers, np.nanmean(observed[t - 4 : t - 1], axis=0))


def test_analogs_are_the_nearest_past_days(pair: tuple[np.ndarray, np.ndarray]) -> None:
    forecast, observed = pair
    near = np.stack([np.roll(forecast, 1, axis=0), forecast])
    lead, t, h, s = 1, 30, 7, 2
    found = analogs(near, observed, weights=np.ones(2), lead=lead, count=10, first=t, stop=t + 1)[0, h, s]
    distance = np.sqrt(((near[:, : t - lead + 1, h, s] - near[:, t : t + 1, h, s]) ** 2).sum(axis=0))
    distance = np.where(np.isfinite(observed[: t - lead + 1, h, s]), distance, np.inf)
    nearest = np.argsort(distance)[:10]
    assert np.isclose(found, np.average(observed[nearest, h, s], weights=1 / distance[nearest]))


def test_quantiles_from_histograms_are_those_of_numpy_to_a_bin(pair: tuple[np.ndarray, np.ndarray]) -> None:
    forecast, observed = pair
    counts = np.zeros((2, 3, BINS), np.int32)
    for day in range(len(forecast)):
        count_pairs(counts, forecast[day : day + 1], observed[day : day + 1])
    levels = np.arange(1, 100) / 100
    found = quantiles_of(counts[1], levels)
    below, above = (np.nanquantile(observed, levels, axis=(0, 1), method=m).T for m in ("lower", "higher"))
    assert (found >= below - 0.005 * below - 1e-3).all()
    assert (found <= above + 0.005 * above + 1e-3).all()
    assert counts[0].sum() == counts[1].sum() == np.isfinite(observed).sum()


def test_the_map_shifts_by_a_constant_beyond_the_tails() -> None:
    source = np.array([[1.0, 2.0, 3.0]])
    target = source * 2
    values = np.array([0.5, 1.0, 2.5, 3.0, 10.0]).reshape(1, 5, 1)
    assert np.allclose(map_quantiles(values, source, target).ravel(), [1.5, 2.0, 5.0, 6.0, 13.0])
