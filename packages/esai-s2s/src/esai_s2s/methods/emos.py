"""EMOS: a normal distribution about the ensemble mean (of the cube root, for precipitation).

Gneiting et al. 2005, Mon. Wea. Rev. 133, 1098, eq. 2, with the variance exp(c) + exp(d) s^2; optimised on the
CRPS (their section 2) or on the RPS of the categories.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from esai_s2s.methods.settings import Settings
from esai_s2s.predictors import Predictors, Seasonal, fit_predictors, fit_seasonal
from esai_s2s.sample import Categories, Sample

__all__ = ["Emos", "from_anomaly", "power_of", "to_power"]

ITERATIONS = 60


def power_of(kind: str) -> str:
    """Return what members are changed by before averaging."""
    return "cbrt" if kind == "precipitation" else "none"


@dataclass(frozen=True, eq=False)
class Emos:
    """Mean a + b x and variance exp(c) + exp(d) v of the standardised anomaly.

    Attributes
    ----------
    predictors : Predictors
        Mean and spread.
    truth : Seasonal
        Annual cycle and scale of the observations.
    theta : (cells, 4)
        a, b, c, d; NaN where a cell had fewer than ten cases.
    level : (cells,)
        Mean squared spread of the training cases.
    """

    predictors: Predictors
    truth: Seasonal
    theta: np.ndarray
    level: np.ndarray

    @classmethod
    def fit(cls, train: Sample, categories: Categories, settings: Settings) -> Emos:
        """Fit training cases, per cell."""
        from esai_s2s.methods.emos_kernel import fit_cells

        power = power_of(train.kind)
        predictors = fit_predictors(train, ("mean", "spread"), power=power, cycle=settings.cycle)
        observed = to_power(train.observed, power)
        truth = fit_seasonal(observed, train.angle, cycle=settings.cycle)
        blank = np.full((train.cells, 4), np.nan)
        model = cls(predictors, truth, blank, np.ones(train.cells))
        squared = model._squared_spread(train)
        known = ~np.isnan(squared)
        level = np.where(known, squared, 0.0).sum(0) / np.maximum(known.sum(0), 1)
        model = replace(model, level=np.where(level > 0, level, 1.0))
        x, v = model._inputs(train)
        y = truth.transform(observed, train.angle)
        thresholds = model._thresholds(train, categories)
        theta = fit_cells(
            np.ascontiguousarray(x.T),
            np.ascontiguousarray(v.T),
            np.ascontiguousarray(y.T),
            np.ascontiguousarray(thresholds.transpose(2, 0, 1)),
            settings.emos_objective == "rps",
            ITERATIONS,
        )
        cases = (~np.isnan(x + v + y) & ~np.isnan(thresholds[:, 0])).sum(0)
        return replace(model, theta=np.where(cases[:, None] >= 10, theta, np.nan))

    def predict(self, sample: Sample, categories: Categories) -> np.ndarray:
        """Return probabilities (n, cells, K)."""
        x, v = self._inputs(sample)
        mean = self.theta[:, 0] + self.theta[:, 1] * x
        sigma = np.sqrt(np.exp(self.theta[:, 2]) + np.exp(self.theta[:, 3]) * v)
        thresholds = self._thresholds(sample, categories)
        below = ndtr((thresholds - mean[:, None]) / sigma[:, None])
        ends = np.zeros_like(below[:, :1]) + 0.0 * below[:, :1]
        cumulative = np.concatenate([ends, below, ends + 1.0], axis=1)
        return np.moveaxis(np.diff(cumulative, axis=1), 1, -1)

    def quantiles(self, sample: Sample, levels: np.ndarray) -> np.ndarray:
        """Return the quantiles (levels, n, cells) of the forecast value, in the units of the observations."""
        x, v = self._inputs(sample)
        mean = self.theta[:, 0] + self.theta[:, 1] * x
        sigma = np.sqrt(np.exp(self.theta[:, 2]) + np.exp(self.theta[:, 3]) * v)
        anomaly = mean + sigma * ndtri(np.asarray(levels))[:, None, None]
        return from_anomaly(anomaly, self.truth, sample.angle, self.predictors.power)

    def importances(self) -> dict[str, float]:
        """Return the mean over cells of b and of the share of the variance that follows the spread."""
        share = np.exp(self.theta[:, 3]) / (np.exp(self.theta[:, 2]) + np.exp(self.theta[:, 3]))
        return {"mean": float(np.nanmean(self.theta[:, 1])), "spread": float(np.nanmean(share))}

    def _squared_spread(self, sample: Sample) -> np.ndarray:
        if "spread" not in self.predictors.states or sample.forecast is None:
            return np.ones((sample.size, sample.cells))
        state = self.predictors.states["spread"]
        at = self.predictors.columns.index("spread")
        scaled = self.predictors.columns_of(sample)[:, at]
        return (scaled * state.scale + state.level(sample.angle)) ** 2

    def _inputs(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        at = self.predictors.columns.index("mean")
        return self.predictors.columns_of(sample)[:, at], self._squared_spread(sample) / self.level

    def _thresholds(self, sample: Sample, categories: Categories) -> np.ndarray:
        edges = categories.edges(sample)
        changed = to_power(edges, self.predictors.power)
        scaled = (changed - self.truth.level(sample.angle)[:, None]) / self.truth.scale
        if sample.kind == "precipitation":  # nothing lies below an edge of zero
            scaled = np.where(edges <= 0, -np.inf, scaled)
        return scaled

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as arrays."""
        truth = {"truth.coef": self.truth.coef, "truth.scale": self.truth.scale}
        return {**self.predictors.arrays(), **truth, "theta": self.theta, "level": self.level}

    @classmethod
    def of_arrays(cls, kept: dict[str, np.ndarray]) -> Emos:
        """Return what `arrays` gave."""
        truth = Seasonal(kept["truth.coef"], kept["truth.scale"])
        return cls(Predictors.of_arrays(kept), truth, kept["theta"], kept["level"])


def to_power(values: np.ndarray, power: str) -> np.ndarray:
    """Return the values as they are, or the cube roots of those above 0."""
    return np.cbrt(np.maximum(values, 0.0)) if power == "cbrt" else np.asarray(values, dtype=np.float64)


def from_anomaly(anomaly: np.ndarray, truth: Seasonal, angle: np.ndarray, power: str) -> np.ndarray:
    """Return values (..., n, cells) of standardised anomalies at times of the year (n,)."""
    values = truth.level(angle) + truth.scale * anomaly
    return np.maximum(values, 0.0) ** 3 if power == "cbrt" else values
