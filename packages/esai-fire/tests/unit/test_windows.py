from __future__ import annotations

import numpy as np
import pytest

from esai_core.errors import InputError, UsageError
from esai_fire.demo import synthetic_burned_area, synthetic_indices
from esai_fire.folds import make_plan
from esai_fire.windows import centred_windows, keep_burning, monthly_series, peak_months, window_series


def test_a_window_begins_six_months_before_its_peak_and_crosses_the_year() -> None:
    monthly = np.arange(48.0)[None]
    years = np.array([2000, 2001, 2002, 2003])
    july = centred_windows(monthly, (2000, 1), np.array([7]), years)
    np.testing.assert_array_equal(july[0], [sum(range(12 * k, 12 * k + 12)) for k in range(4)])
    january = centred_windows(monthly, (2000, 1), np.array([1]), years)
    assert np.isnan(january[0, 0])  # July 1999 is not there
    assert january[0, 1] == sum(range(6, 18))  # July 2000 to June 2001
    december = centred_windows(monthly, (2000, 1), np.array([12]), years)
    assert december[0, 0] == sum(range(5, 17))
    assert np.isnan(december[0, 3])


def test_a_missing_month_makes_its_window_missing() -> None:
    monthly = np.ones((1, 36))
    monthly[0, 14] = np.nan
    found = centred_windows(monthly, (2000, 1), np.array([7]), np.arange(2000, 2003))
    np.testing.assert_array_equal(found, [[12.0, np.nan, 12.0]])


def test_peaks_and_the_half_rule() -> None:
    month = np.tile(np.arange(1, 13), 2)
    monthly = np.zeros((3, 24))
    monthly[0, [2, 14]] = 5.0
    monthly[1, 23] = 1.0
    np.testing.assert_array_equal(peak_months(monthly, month), [3, 12, 0])
    y = np.array([[1, 0, 2, 0], [1, 0, 0, 0], [0, 0, 0, 0], [1, np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(keep_burning(y), [True, False, False, True])


def test_the_holdout_does_not_decide_what_is_forecast() -> None:
    table = synthetic_indices(("nino34",), first=1979, last=2000)
    burned = synthetic_burned_area(table, first=1981, last=2000)
    before = window_series(burned, train=(1981, 1995))
    burned[180:, 0, 0] = 0.0
    burned[180:, 0, 0][3::12] = 1e12  # the peak of that cell moves to April after 1995
    after = window_series(burned, train=(1981, 1995))
    np.testing.assert_array_equal(before.peak, after.peak)


def test_nothing_left_is_told() -> None:
    table = synthetic_indices(("nino34",), first=1979, last=1995)
    burned = synthetic_burned_area(table, first=1981, last=1995)
    with pytest.raises(InputError, match=r"no cell burned in 50%"):
        window_series(burned * 0.0)


def test_monthly_rows() -> None:
    table = synthetic_indices(("nino34",), first=1979, last=1995)
    burned = synthetic_burned_area(table, first=1981, last=1995, shape=(2, 3))
    series = monthly_series(burned, regions={"total": np.ones((2, 3))})
    assert series.y.shape == (7, 180)
    np.testing.assert_allclose(series.y[0], series.y[1:].sum(axis=0))
    np.testing.assert_array_equal(series.y[1], burned.values[:, 0, 0])


def test_no_fold_trains_on_what_it_judges() -> None:
    years = np.repeat(np.arange(2000, 2010), 2)
    for folds in (None, 3):
        plan = make_plan(years, train=np.ones(20, bool), inner_folds=folds)
        for row in range(20):
            mine = years == years[row]
            assert not plan.sets[plan.outer[plan.of_row[row]]][mine].any()
        for k, outer in enumerate(plan.outer):
            hidden = plan.sets[outer] == 0
            for row in np.flatnonzero(plan.inner[k] >= 0):
                fit = plan.sets[plan.inner[k, row]]
                assert not fit[years == years[row]].any()
                assert not fit[hidden].any()
            assert (plan.inner[k][hidden] == -1).all()
    # Leaving two years out serves both: n (n + 1) / 2 sets and the full one.
    assert make_plan(years, train=np.ones(20, bool)).sets.shape[0] == 10 + 45 + 1


def test_holdout_rows_train_nothing() -> None:
    years = np.arange(2000, 2015)
    plan = make_plan(years, train=years < 2010, holdout=years >= 2010)
    assert not plan.sets[:, years >= 2010].any()
    assert plan.test.sum() == 5
    with pytest.raises(UsageError, match=r"5 training years"):
        make_plan(years, train=years < 2005)
