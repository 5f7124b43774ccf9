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


@dataclass(frozen=True, eq=False)
class Logistic:
    """P(k) = softmax(intercept_k + x . coef_k).

    Attributes
    ----------
    predictors : Predictors
    intercept : (cells, K)
        -inf for a category that no training case fell into.
    coef : (cells, K, p)
    """

    predictors: Predictors
    intercept: np.ndarray
    coef: np.ndarray

    @classmethod
    def fit(cls, train: Sample, categories: Categories, settings: Settings) -> Logistic:
        """Fit training cases; rows with a missing predictor or category are left out of their cell."""
        predictors = fit_predictors(
            train, settings.logistic_predictors, power=settings.power, cycle=settings.cycle
        )
        columns = np.ascontiguousarray(predictors.columns_of(train).transpose(2, 0, 1))
        codes = categories.codes(train).T
        with warnings.catch_warnings():
            # Cells without a usable row come back as such (NaN below) and need no warning each.
            warnings.simplefilter("ignore", glm.GlmConvergenceWarning)
            fitted = glm.fit(
                columns,
                np.where(np.isnan(codes), -1.0, codes),
                family="multinomial",
                C=settings.logistic_c,
                n_classes=categories.size,
                threads=settings.threads,
            )
        bad = (fitted.status & (glm.GlmStatus.EMPTY | glm.GlmStatus.NOT_CONVERGED)) != 0
        intercept = np.where(bad[:, None], np.nan, fitted.intercept)
        return cls(predictors, intercept, fitted.coef)

    def predict(self, sample: Sample, categories: Categories) -> np.ndarray:
        """Return probabilities (n, cells, K); NaN where a predictor is missing."""
        columns = self.predictors.columns_of(sample)
        eta = np.einsum("npc,ckp->nck", columns, self.coef) + self.intercept
        eta -= eta.max(axis=-1, keepdims=True)
        weight = np.exp(eta)
        return weight / weight.sum(axis=-1, keepdims=True)

    def importances(self) -> dict[str, float]:
        """Return the root mean square over cells and categories of the coefficient of each predictor."""
        size = np.sqrt(np.nanmean(self.coef**2, axis=(0, 1)))
        return dict(zip(self.predictors.columns, map(float, size), strict=True))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays."""
        return {**self.predictors.arrays(), "intercept": self.intercept, "coef": self.coef}

    @classmethod
    def of_arrays(cls, kept: dict[str, np.ndarray]) -> Logistic:
        """Return what `arrays` gave."""
        return cls(Predictors.of_arrays(kept), kept["intercept"], kept["coef"])
