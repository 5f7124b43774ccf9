"""The batched logistic regression against scikit-learn, cell by cell, at its edges too."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from esai_s2s.methods.logistic import Logistic
from esai_s2s.methods.settings import Settings
from esai_s2s.sample import Categories, Sample, fit_categories

Make = Callable[..., Sample]
TOLERANCE = 1e-5


class Given(Categories):
    """Categories that are given case by case, so that a class may be empty."""

    def codes(self, sample: Sample) -> np.ndarray:
        return sample.observed


def given_codes(sample: Sample) -> Categories:
    return Given(fit_categories(replace(sample, observed=sample.forecast[:, 0]), group=None).observed)


def oracle(x: np.ndarray, y: np.ndarray) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(x, y)


def contrasts(model: Logistic, cell: int, present: np.ndarray) -> np.ndarray:
    """Return intercept and coefficients of the classes present, less those of the first of them."""
    full = np.column_stack([model.intercept[0, cell], model.coef[0, cell]])[present]
    return full[1:] - full[0]


def theirs(fitted: LogisticRegression) -> np.ndarray:
    full = np.column_stack([fitted.intercept_, fitted.coef_])
    return full if len(full) == 1 else full[1:] - full[0]


@pytest.fixture
def cells(make_sample: Make) -> Sample:
    """Return cells that are ordinary, separable, constant, without a class, and all in one but one class."""
    base = make_sample(cells=7, n_years=6)
    assert base.forecast is not None
    x = base.forecast.mean(axis=1)
    rng = np.random.default_rng(4)
    codes = np.stack([np.digitize(x[:, i] + rng.normal(size=len(x)), [1.5, 2.5]) for i in range(7)], axis=1)
    codes = codes.astype(np.float64)
    codes[:, 1] = np.digitize(x[:, 1], np.quantile(x[:, 1], [1 / 3, 2 / 3]))  # separable
    codes[:, 3] = np.where(codes[:, 3] == 1, 2, codes[:, 3])  # the middle class is empty
    codes[:, 4] = np.where(codes[:, 4] == 0, 1, codes[:, 4])  # the lowest
    codes[:, 5] = 1
    codes[::40, 5] = 2
    codes[::3, 6] = np.nan
    forecast = base.forecast.copy()
    forecast[:, :, 2] = 7.0  # constant predictor
    return replace(base, observed=codes, forecast=forecast)


def test_coefficients_are_those_of_scikit_learn_in_every_kind_of_cell(cells: Sample) -> None:
    settings = Settings(logistic_predictors=("mean", "spread"), cycle=False)
    model = Logistic.fit(cells, given_codes(cells), settings)
    columns = model.predictors.columns_of(cells)
    for cell in range(cells.cells):
        y = cells.observed[:, cell]
        known = ~np.isnan(y)
        fitted = oracle(columns[known, :, cell], y[known])
        present = np.unique(y[known]).astype(int)
        ours = contrasts(model, cell, present)
        np.testing.assert_allclose(ours, theirs(fitted), atol=TOLERANCE, err_msg=f"cell {cell}")
        absent = np.setdiff1d(np.arange(3), present)
        assert (model.intercept[0, cell, absent] == -np.inf).all()
    found = model.predict(cells, given_codes(cells))
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-12)
    assert (found[:, 3, 1] == 0).all()
    np.testing.assert_allclose(np.ptp(found[:, 2], axis=0), 0, atol=0.2)  # only the spread speaks there


def test_a_constant_predictor_has_no_coefficient(cells: Sample) -> None:
    model = Logistic.fit(cells, given_codes(cells), Settings(cycle=False))
    np.testing.assert_allclose(model.coef[0, 2], 0, atol=1e-9)
    share = np.bincount(cells.observed[:, 2].astype(int), minlength=3) / cells.size
    np.testing.assert_allclose(model.predict(cells, given_codes(cells))[0, 2], share, atol=1e-5)


def test_a_cell_of_one_class_or_none_has_what_is_known(cells: Sample) -> None:
    observed = cells.observed.copy()
    observed[:, 0], observed[:, 1] = 2.0, np.nan
    blank = replace(cells, observed=observed)
    found = Logistic.fit(blank, given_codes(cells), Settings(cycle=False)).predict(blank, given_codes(cells))
    np.testing.assert_allclose(found[:, 0, 2], 1.0)
    assert np.isnan(found[:, 1]).all()


def test_a_rolling_window_fits_each_week_on_the_weeks_around_it(make_sample: Make) -> None:
    sample = make_sample(n_years=12, cells=2)
    week = (sample.starts.astype("datetime64[D]") - sample.starts.astype("datetime64[Y]")).astype(
        int
    ) // 7 + 1
    categories = fit_categories(sample, group=None)
    model = Logistic.fit(sample, categories, Settings(cycle=False, logistic_window=2))
    assert set(model.weeks) == set(week)
    chosen = 1  # its window reaches over New Year
    apart = np.abs(week - chosen)
    near = np.minimum(apart, 53 - apart) <= 2
    assert {52, 53, 1, 2, 3} & set(week[near]) >= {52, 1, 3}
    columns, codes = model.predictors.columns_of(sample), categories.codes(sample)
    fitted = oracle(columns[near, :, 0], codes[near, 0])
    at = int(np.flatnonzero(model.weeks == chosen)[0])
    full = np.column_stack([model.intercept[at, 0], model.coef[at, 0]])
    np.testing.assert_allclose(full[1:] - full[0], theirs(fitted), atol=TOLERANCE)
    rows = week == chosen
    np.testing.assert_allclose(
        model.predict(sample, categories)[rows, 0], fitted.predict_proba(columns[rows, :, 0]), atol=1e-5
    )
