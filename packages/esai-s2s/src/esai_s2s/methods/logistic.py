"""Multinomial logistic regression of the category on the predictors, one fit per cell, all at once."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from esai_core import glm
from esai_s2s.methods.settings import Settings
from esai_s2s.predictors import Predictors, fit_predictors
from esai_s2s.sample import Categories, Sample

__all__ = ["Logistic"]


WEEKS = 53


@dataclass(frozen=True, eq=False)
class Logistic:
    """P(k) = softmax(intercept_k + x . coef_k), for the whole year or for each week of it.

    Attributes
    ----------
    predictors : Predictors
    weeks : (g,)
        Weeks of the year, 1 to 53, that have their own coefficients; 0 alone: one set for all.
    intercept : (g, cells, K)
        -inf for a category that no training case fell into.
    coef : (g, cells, K, p)
    """

    predictors: Predictors
    weeks: np.ndarray
    intercept: np.ndarray
    coef: np.ndarray

    @classmethod
    def fit(cls, train: Sample, categories: Categories, settings: Settings) -> Logistic:
        """Fit training cases; rows with a missing predictor or category are left out of their cell.

        With a rolling window each week of the year is fitted on the cases of the weeks around it.
        """
        predictors = fit_predictors(
            train, settings.logistic_predictors, power=settings.power, cycle=settings.cycle
        )
        columns = np.ascontiguousarray(predictors.columns_of(train).transpose(2, 0, 1))
        codes = categories.codes(train).T
        codes = np.where(np.isnan(codes), -1.0, codes)
        if not settings.logistic_window:
            fits = [_fit(columns, codes, categories.size, settings)]
            weeks = np.zeros(1, dtype=np.int64)
        else:
            own = _week(train)
            weeks, fits = np.unique(own), []
            for week in weeks:
                apart = np.abs(own - week)
                near = np.flatnonzero(np.minimum(apart, WEEKS - apart) <= settings.logistic_window)
                fits.append(_fit(columns[:, near], codes[:, near], categories.size, settings))
        return cls(predictors, weeks, np.stack([one[0] for one in fits]), np.stack([one[1] for one in fits]))

    def predict(self, sample: Sample, categories: Categories) -> np.ndarray:
        """Return probabilities (n, cells, K); NaN where a predictor is missing."""
        columns = self.predictors.columns_of(sample)
        found = np.empty((sample.size, sample.cells, categories.size))
        at = np.zeros(sample.size, dtype=np.int64)
        if len(self.weeks) > 1 or self.weeks[0]:
            apart = np.abs(_week(sample)[:, None] - self.weeks)
            at = np.minimum(apart, WEEKS - apart).argmin(
                axis=1
            )  # a week without training cases: its neighbour
        for number in np.unique(at):
            rows = np.flatnonzero(at == number)
            eta = np.einsum("npc,ckp->nck", columns[rows], self.coef[number]) + self.intercept[number]
            eta -= eta.max(axis=-1, keepdims=True)
            weight = np.exp(eta)
            found[rows] = weight / weight.sum(axis=-1, keepdims=True)
        return found

    def importances(self) -> dict[str, float]:
        """Return the root mean square over cells and categories of the coefficient of each predictor."""
        size = np.sqrt(np.nanmean(self.coef**2, axis=(0, 1, 2)))
        return dict(zip(self.predictors.columns, map(float, size), strict=True))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays."""
        own = {"weeks": self.weeks, "intercept": self.intercept, "coef": self.coef}
        return {**self.predictors.arrays(), **own}

    @classmethod
    def of_arrays(cls, kept: dict[str, np.ndarray]) -> Logistic:
        """Return what `arrays` gave."""
        return cls(Predictors.of_arrays(kept), kept["weeks"], kept["intercept"], kept["coef"])


def _week(sample: Sample) -> np.ndarray:
    """Return the week of the year of each start, 1 to 53, in sevens of days from 1 January."""
    days = sample.starts.astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]")).astype(np.int64) // 7 + 1


def _fit(
    columns: np.ndarray, codes: np.ndarray, size: int, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Return intercept (cells, K) and coefficients (cells, K, p) of columns (cells, n, p); NaN where none."""
    with warnings.catch_warnings():
        # Cells without a usable row come back as such (NaN below) and need no warning each.
        warnings.simplefilter("ignore", glm.GlmConvergenceWarning)
        fitted = glm.fit(
            columns,
            codes,
            family="multinomial",
            C=settings.logistic_c,
            n_classes=size,
            threads=settings.threads,
        )
    bad = (fitted.status & (glm.GlmStatus.EMPTY | glm.GlmStatus.NOT_CONVERGED)) != 0
    return np.where(bad[:, None], np.nan, fitted.intercept), fitted.coef
