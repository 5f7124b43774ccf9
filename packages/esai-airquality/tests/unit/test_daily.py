from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from esai_airquality.mos.alerts import learn_rule
from esai_airquality.mos.daily import d1max, d8max


def test_windows_of_eight_hours_belong_to_the_day_they_end_on() -> None:
    hourly = np.zeros((2, 24))
    hourly[0, 17:] = 80.0  # the window from 17 h to 1 h of the second day holds 7 of these hours
    assert d8max(hourly)[1] == 70.0
    assert d8max(hourly)[0] == 70.0
    assert d1max(hourly).tolist() == [80.0, 0.0]


def test_too_few_hours_give_no_maximum() -> None:
    hourly = np.ones((1, 24))
    hourly[0, :6] = np.nan
    assert d1max(hourly)[0] == 1.0
    hourly[0, 6] = np.nan
    assert np.isnan(d1max(hourly)[0])
    assert np.isnan(d8max(hourly)[0])


def test_the_cutoff_has_the_best_csi_of_all() -> None:
    rng = np.random.default_rng(1)
    chance = rng.random(3000)
    event = rng.random(3000) < chance**2
    rule = learn_rule(chance, event, first_cutoff=0.3)
    alert = rule.calibrate(chance) >= rule.cutoff

    def csi(said: np.ndarray) -> float:
        return (said & event).sum() / (said | event).sum()

    assert np.isclose(csi(alert), max(csi(chance >= cut) for cut in chance))
    expected = chance**2
    assert np.abs(rule.calibrate(chance) - expected).mean() < np.abs(chance - expected).mean()


def test_without_a_past_the_first_cutoff_holds() -> None:
    rule = learn_rule(np.array([0.2, 0.9]), np.array([False, True]), first_cutoff=0.3)
    assert rule.cutoff == 0.3
    assert np.allclose(rule.calibrate(np.array([0.2, 0.9])), [0.2, 0.9])


def test_the_calibration_is_that_of_sklearn_and_finite_where_chances_are_extreme() -> None:
    rng = np.random.default_rng(2)
    chance = rng.random(4000)
    event = rng.random(4000) < chance**2
    z = np.log(chance / (1 - chance))[:, None]
    peer = LogisticRegression(C=1.0, tol=1e-10).fit(z, event)
    rule = learn_rule(chance, event, first_cutoff=0.3)
    assert np.allclose([rule.slope, rule.intercept], [peer.coef_[0, 0], peer.intercept_[0]], atol=5e-3)
    extreme = np.where(rng.random(4000) < 0.2, 1 - 1e-9, 1e-9)
    rule = learn_rule(extreme, (extreme > 0.5) ^ (rng.random(4000) < 0.01), first_cutoff=0.3)
    assert 0 < rule.slope < 10
    assert abs(rule.intercept) < 10
    perfect = learn_rule(chance, chance > 0.5, first_cutoff=0.3)
    assert np.isfinite([perfect.slope, perfect.intercept]).all()
