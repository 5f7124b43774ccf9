"""Ensemble model output statistics (non-homogeneous Gaussian regression) with ensemble copula coupling.

Gneiting, Raftery, Westveld and Goldman (2005), doi:10.1175/MWR2904.1, equations 2 and 5:
``T ~ N(a + b f, c + d s^2)`` with `f` the ensemble mean and ``s^2`` the ensemble variance, fitted per cell by
minimum CRPS. The members are equidistant quantiles of that law in the order of the raw members (Schefzik,
Thorarinsdottir and Gneiting 2013, doi:10.1214/13-STS443), so the raw ensemble's dependence is kept.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from . import _arrays as a
from .linear import _columns, _packed, root, unroot

STEPS = 100
RATE = 0.04  # of Adam on standardised targets, to 0 by a half cosine


def fit_emos(forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Fit ``N(a + b (f - f0), c + d s^2)`` by minimum CRPS, from least squares. Gives ``f0, a, b, c, d``."""
    forecast, target = root(forecast, kind), root(target, kind)
    centre, spread2 = a.mean(forecast), a.variance(forecast)
    ok = np.isfinite(target) & np.isfinite(centre)
    f0 = a.mean(np.where(ok, centre, np.nan))
    x = np.stack([np.ones(target.shape), centre - f0[..., None]], axis=-1)
    start, residuals, count = a.least_squares(x, target)
    squares = np.where(np.isfinite(residuals), residuals, 0.0) ** 2
    unit = np.sqrt(squares.sum(-1) / np.maximum(count - 2, 1))
    mean_spread2 = a.mean(np.where(ok, spread2, np.nan))
    fitted = np.isfinite(unit) & (unit > 0) & (mean_spread2 > 0) & (count > 2)
    if not fitted.any():
        return _packed(f0, start[..., 0], start[..., 1], unit**2, np.zeros_like(unit))
    safe = np.where(fitted, unit, 1.0)
    y = np.where(ok, target, 0.0) / safe[..., None]
    x = np.where(ok[..., None], x, 0.0)
    scale = np.sqrt((x**2).sum(-2) / np.maximum(count, 1)[..., None])
    x = x / np.where(scale > 0, scale, 1.0)[..., None, :]
    s2 = np.where(ok, spread2, 0.0) / np.where(fitted, mean_spread2, 1.0)[..., None]
    theta = np.concatenate(
        [
            np.where(np.isfinite(start), start, 0.0) * np.where(scale > 0, scale, 0.0) / safe[..., None],
            np.full((*unit.shape, 1), np.sqrt(0.8)),
            np.full((*unit.shape, 1), np.sqrt(0.2)),
        ],
        axis=-1,
    )
    theta = _minimise_crps(theta, x, y, s2, ok)
    location = theta[..., :2] * safe[..., None] / np.where(scale > 0, scale, 1.0)
    constant = (theta[..., 2] * safe) ** 2
    linear = (theta[..., 3] * safe) ** 2 / np.where(fitted, mean_spread2, 1.0)
    return _packed(
        f0,
        np.where(fitted, location[..., 0], start[..., 0]),
        np.where(fitted, location[..., 1], start[..., 1]),
        np.where(fitted, constant, unit**2),
        np.where(fitted, linear, 0.0),
    )


def _minimise_crps(
    theta: np.ndarray, x: np.ndarray, y: np.ndarray, s2: np.ndarray, ok: np.ndarray
) -> np.ndarray:
    """Adam (Kingma and Ba 2015) on the mean Gaussian CRPS of every cell at once; the last step has rate 0."""
    weight = ok / np.maximum(ok.sum(-1, keepdims=True), 1)
    first, second = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, STEPS + 1):
        g, h = theta[..., 2, None], theta[..., 3, None]
        sigma = np.sqrt(g**2 + h**2 * s2 + 1e-6)
        z = (y - np.einsum("...np,...p->...n", x, theta[..., :2])) / sigma
        d_location = -(2.0 * ndtr(z) - 1.0) * weight
        d_sigma = (2.0 * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) - 1.0 / np.sqrt(np.pi)) * weight / sigma
        gradient = np.concatenate(
            [
                np.einsum("...n,...np->...p", d_location, x),
                (d_sigma * g).sum(-1, keepdims=True),
                (d_sigma * h * s2).sum(-1, keepdims=True),
            ],
            axis=-1,
        )
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        rate = RATE * 0.5 * (1.0 + np.cos(np.pi * step / STEPS))
        theta = theta - rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return theta


def coupled(location: np.ndarray, sigma: np.ndarray, forecast: np.ndarray) -> np.ndarray:
    """Gaussian quantiles at ``(i + 1/2) / n`` in the order of the raw members; a missing member stays NaN."""
    present = np.isfinite(forecast)
    n = np.maximum(present.sum(-1, keepdims=True), 1)
    order = np.minimum(a.ranks(forecast), n - 1)
    members = location[..., None] + sigma[..., None] * ndtri((order + 0.5) / n)
    return np.where(present, members, np.nan)


def predict_emos(parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Quantiles of ``N(a + b (f - f0), c + d s^2)`` coupled to the raw members."""
    forecast = root(forecast, kind)
    f0, c0, c1, constant, linear = _columns(parameters)
    location = c0 + c1 * (a.mean(forecast) - f0)
    sigma = np.sqrt(constant + linear * a.variance(forecast))
    return unroot(coupled(location, sigma, forecast), kind)
