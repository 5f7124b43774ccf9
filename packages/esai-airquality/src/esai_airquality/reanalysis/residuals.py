"""Models of the residual (observed less modelled): a trend of predictors, and what is left in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from esai_airquality.reanalysis.kriging import Covariance, fit_covariance, great_circle, krige
from esai_airquality.reanalysis.sample import Sample
from esai_airquality.reanalysis.trends import Trend, fit_trend

__all__ = ["Fit", "fit_residual", "predict_residual"]

Array = NDArray[np.float64]

TRENDS = {"ridge": "ridge", "ridge_idw": "ridge", "ridge_kriging": "ridge"}
TRENDS |= {"forest": "forest", "forest_kriging": "forest"}
SPACE = {"mean": "mean", "idw": "idw", "ridge_idw": "idw", "kriging": "ordinary"}
SPACE |= {"ridge_kriging": "simple", "forest_kriging": "simple"}


@dataclass(frozen=True)
class Fit:
    """A fitted model of the residual.

    Attributes
    ----------
    method : str
        Its name.
    trend : Trend or None
        What follows from the predictors.
    latitude, longitude : array (case,)
        Of the training cases.
    period : int array (case,)
        Likewise.
    remainder : array (case,)
        Residual less trend.
    covariance : Covariance or None
        Of the remainder; None where neither kriging nor its variance was asked for.
    power : float
        Of inverse-distance weighting.
    """

    method: str
    trend: Trend | None
    latitude: Array
    longitude: Array
    period: NDArray[np.int64]
    remainder: Array
    covariance: Covariance | None
    power: float


def fit_residual(
    sample: Sample,
    method: str,
    *,
    power: float = 2.0,
    trees: int = 200,
    seed: int = 0,
    variance: bool = False,
    trend: Trend | None = None,
) -> Fit:
    """Fit a method.

    Parameters
    ----------
    sample : Sample
        Training cases.
    method : str
        ``raw`` (no correction), ``mean`` (of the period), ``idw``, ``kriging`` (ordinary), ``ridge`` or
        ``forest`` of the predictors, alone or with ``_idw`` or ``_kriging`` of what they leave.
    power : float
        Of inverse-distance weighting (Shepard 1968, doi:10.1145/800186.810616).
    trees, seed : int
        Of the forest.
    variance : bool, default False
        Whether `predict_residual` shall give a variance for methods without kriging too.
    trend : Trend, optional
        That of another method, fitted to the same cases with the same settings, to spare its fit.

    Returns
    -------
    Fit
    """
    residual = sample.residual
    if method not in TRENDS:
        trend = None
    else:
        if trend is None or trend.kind != TRENDS[method]:
            trend = fit_trend(sample, TRENDS[method], trees=trees, seed=seed)
        residual = residual - trend.fitted
    lat, lon = sample.latitude[sample.place], sample.longitude[sample.place]
    covariance = None
    if variance or SPACE.get(method) in ("ordinary", "simple"):
        about = residual if SPACE.get(method) != "ordinary" else _centred(residual, sample.period)
        samples = []
        for number in np.unique(sample.period):
            rows = sample.period == number
            samples.append((great_circle(lat[rows], lon[rows], lat[rows], lon[rows]), about[rows]))
        covariance = fit_covariance(samples)
    return Fit(method, trend, lat, lon, sample.period, residual, covariance, power)


def _centred(values: Array, period: NDArray[np.int64]) -> Array:
    """Take the mean of its period off each value."""
    count = np.bincount(period)
    return values - (np.bincount(period, values) / np.maximum(count, 1))[period]


def predict_residual(fit: Fit, sample: Sample) -> tuple[Array, Array]:
    """Predict residuals.

    Parameters
    ----------
    fit : Fit
        As `fit_residual` gives.
    sample : Sample
        Where and when; its observations are not used.

    Returns
    -------
    two arrays (case,)
        Residuals, and the variance of an observation about them, by kriging: it grows with the distance to
        the stations. NaN without a covariance, or in a period without a training case.
    """
    estimate = fit.trend.predict(sample) if fit.trend is not None else np.zeros(len(sample.place))
    spread = np.full(len(sample.place), np.nan)
    kind = SPACE.get(fit.method)
    for number in np.unique(sample.period):
        rows, known = np.flatnonzero(sample.period == number), fit.period == number
        if not known.any():
            estimate[rows] = np.nan if kind is not None else estimate[rows]
            continue
        lat, lon, values = fit.latitude[known], fit.longitude[known], fit.remainder[known]
        here = sample.place[rows]
        to = great_circle(sample.latitude[here], sample.longitude[here], lat, lon)
        if fit.covariance is not None:
            among = great_circle(lat, lon, lat, lon)
            kriged, spread[rows] = krige(fit.covariance, among, to, values, ordinary=kind == "ordinary")
            if kind in ("ordinary", "simple"):
                estimate[rows] += kriged
        if kind == "mean":
            estimate[rows] += values.mean()
        elif kind == "idw":
            weight = np.maximum(to, 0.1) ** -fit.power
            estimate[rows] += weight @ values / weight.sum(axis=1)
    return estimate, spread
