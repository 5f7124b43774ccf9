from __future__ import annotations

import numpy as np
import pytest

from esai_airquality.mos.conformal import CASES, widened


def noisy(days: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds of a made-up forecast that are `spread` times as far apart as they should be."""
    rng = np.random.default_rng(5)
    day = np.arange(days)[:, None, None]
    sigma = (2 + np.sin(2 * np.pi * day / 365)) * (1 + np.arange(3))
    centre = 40 + 10 * np.sin(day / 9) + np.zeros((days, 24, 3))
    observed = centre + sigma * rng.standard_t(4, centre.shape)
    half = spread * 2.13 * sigma + np.zeros_like(centre)
    return centre - half, centre + half, observed


@pytest.mark.parametrize("spread", [0.4, 1.0, 2.5])
def test_nine_in_ten_observations_are_held_at_every_station(spread: float) -> None:
    lower, upper, observed = noisy(300, spread)
    lead = 2
    low, high = widened(lower, upper, observed, lead=lead, begin=0, stop=298, window=60, level=0.9)
    came = observed[lead:]
    held = ((came >= low) & (came <= high))[60:]
    assert (np.abs(held.mean(axis=(0, 1)) - 0.9) < 0.02).all()


def test_nothing_after_the_issue_is_used() -> None:
    lower, upper, observed = noisy(40, 1.0)
    args = {"lead": 1, "begin": 0, "stop": 30, "window": 20, "level": 0.9}
    expected = widened(lower, upper, observed, **args)
    poisoned = observed.copy()
    poisoned[30:] = 1e6
    for one, other in zip(expected, widened(lower, upper, poisoned, **args), strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def test_a_station_without_a_past_takes_that_of_the_others() -> None:
    lower, upper, observed = noisy(30, 1.0)
    observed[:, :, 2] = np.nan
    low, high = widened(lower, upper, observed, lead=1, begin=0, stop=29, window=20, level=0.9)
    assert np.isfinite(low[20:]).all()
    assert (high >= low)[20:].all()
    assert np.isnan(low[: CASES // 72]).all()
