"""Climatologies, mean and variance corrections, trend-aware correction and multiple linear regression.

Shapes: `forecast` is ``(..., sample, member)``, `target` ``(..., sample)`` and `years` ``(sample,)``,
where the
samples are the training starts of one start month and the leading axes are leads and cells. A ``fit_*`` gives
the coefficients ``(..., k)`` and a ``predict_*`` turns them and a forecast into ``(..., sample, member)``.

`kind` is "additive" (temperatures) or "multiplicative" (precipitation and whatever else cannot be negative):
differences become ratios, and regressions work on square roots.
"""

from __future__ import annotations

import numpy as np

from . import _arrays as a

FACTOR_LIMIT = 10.0  # of a multiplicative correction: a nearly dry model month is not blown up without bound


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Bounded ratio of two non-negative quantities; 1 where both vanish."""
    tiny = np.finfo(float).tiny
    safe = np.maximum(denominator, tiny)
    out = np.clip(np.maximum(numerator, 0.0) / safe, 0.0, FACTOR_LIMIT)
    return np.where((numerator <= 0) & (denominator <= 0), 1.0, out)


def root(x: np.ndarray, kind: str) -> np.ndarray:
    """Give what regressions work on: square roots of a non-negative variable, else the values."""
    return np.sqrt(np.maximum(x, 0.0)) if kind == "multiplicative" else x


def unroot(x: np.ndarray, kind: str) -> np.ndarray:
    """Undo `root`."""
    return np.maximum(x, 0.0) ** 2 if kind == "multiplicative" else x


def _packed(*columns: np.ndarray) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _columns(parameters: np.ndarray) -> list[np.ndarray]:
    """Coefficients with an axis for the samples: each ``(..., 1)``."""
    return [parameters[..., i, None] for i in range(parameters.shape[-1])]


# --- no forecast at all


def fit_climatology(forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Keep the targets of the training years: they are the members."""
    return target.copy()


def predict_climatology(
    parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str
) -> np.ndarray:
    """Issue the training years as an ensemble, whatever the year."""
    shape = (*parameters.shape[:-1], years.size, parameters.shape[-1])
    return np.broadcast_to(parameters[..., None, :], shape)


def fit_trend_climatology(
    forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str
) -> np.ndarray:
    """Fit ``T = a + b (y - y0)`` and keep the residuals. Coefficients: ``y0, a, b, residuals``."""
    y0 = years.mean()
    x = np.broadcast_to(np.stack([np.ones(years.size), years - y0], -1), (*target.shape, 2))
    coefficients, residuals, _ = a.least_squares(x, root(target, kind))
    first = np.broadcast_to(y0, (*target.shape[:-1], 1))
    return np.concatenate([first, coefficients, residuals], axis=-1)


def predict_trend_climatology(
    parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str
) -> np.ndarray:
    """Trend of the year asked for, dressed with the training residuals as members."""
    y0, intercept, slope = _columns(parameters[..., :3])
    centre = intercept + slope * (years - y0)
    return unroot(centre[..., None] + parameters[..., None, 3:], kind)


# --- mean, variance, trend


def fit_raw(forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Fit nothing: the forecast interpolated to the fine grid."""
    return np.zeros((*target.shape[:-1], 1))


def predict_raw(parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Return the forecast as it is."""
    return forecast


def fit_mean_bias(forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Mean over the training years of ensemble mean minus target (or target over ensemble mean)."""
    centre = a.mean(forecast)
    if kind == "multiplicative":
        both = np.isfinite(centre) & np.isfinite(target)
        centre, goal = (a.mean(np.where(both, v, np.nan)) for v in (centre, target))
        return _ratio(goal, centre)[..., None]
    return a.mean(centre - target)[..., None]


def predict_mean_bias(
    parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str
) -> np.ndarray:
    """Subtract the mean bias from (or multiply the factor into) every member."""
    offset = parameters[..., None, :]
    return np.maximum(forecast, 0.0) * offset if kind == "multiplicative" else forecast - offset


def fit_mean_variance(forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Mean and standard deviation (``ddof=1``) of all members pooled, and of the target."""
    mean_f, sd_f = a.mean(forecast, (-2, -1)), np.sqrt(a.variance(forecast, (-2, -1)))
    mean_t, sd_t = a.mean(target), np.sqrt(a.variance(target))
    if kind == "multiplicative":  # the spread is changed about the scaled mean
        factor = _ratio(mean_t, mean_f)
        return _packed(mean_t, mean_f, factor * _ratio(sd_t, sd_f * factor))
    scale = np.divide(sd_t, sd_f, out=np.ones_like(sd_t), where=sd_f > 0)
    return _packed(mean_t, mean_f, scale)


def predict_mean_variance(
    parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str
) -> np.ndarray:
    """``(F - mean_F) sd_T / sd_F + mean_T``, not below zero for a non-negative variable."""
    mean_t, mean_f, scale = (c[..., None] for c in _columns(parameters))
    out = (forecast - mean_f) * scale + mean_t
    return np.maximum(out, 0.0) if kind == "multiplicative" else out


def fit_trend_bias(forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Linear trend of the bias over the start years: ``y0, alpha, beta`` (two trends when multiplicative)."""
    y0 = years.mean()
    x = np.broadcast_to(np.stack([np.ones(years.size), years - y0], -1), (*target.shape, 2))
    centre = a.mean(forecast)
    goals = [target, centre] if kind == "multiplicative" else [centre - target]
    fits = [a.least_squares(x, goal)[0] for goal in goals]
    return np.concatenate([np.broadcast_to(y0, (*target.shape[:-1], 1)), *fits], axis=-1)


def predict_trend_bias(
    parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str
) -> np.ndarray:
    """``F - (alpha + beta (y - y0))``; multiplicative: F times the ratio of the two trends."""
    y0, *rest = _columns(parameters)
    step = years - y0
    line = rest[0] + rest[1] * step
    if kind == "multiplicative":
        factor = np.where(np.isfinite(line), _ratio(line, rest[2] + rest[3] * step), np.nan)
        return np.maximum(forecast, 0.0) * factor[..., None]
    return forecast - line[..., None]


# --- regression


def fit_mlr(forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Regress the target on the ensemble mean and the start year (model output statistics with a trend).

    ``T = c0 + c1 (f - f0) + c2 (y - y0) + e``, with `f` the ensemble mean. The members are the raw anomalies
    rescaled to the residual standard deviation (``ddof = 3``) over the climatological spread of the ensemble.
    Coefficients: ``y0, f0, c0, c1, c2, ratio``.
    """
    forecast, target = root(forecast, kind), root(target, kind)
    centre = a.mean(forecast)
    f0 = a.mean(np.where(np.isfinite(target), centre, np.nan))
    y0 = years.mean()
    step = np.broadcast_to(years - y0, target.shape)
    x = np.stack([np.ones(target.shape), centre - f0[..., None], step], axis=-1)
    c, residuals, count = a.least_squares(x, target)
    squares = np.where(np.isfinite(residuals), residuals, 0.0) ** 2
    spread = np.sqrt(squares.sum(-1) / np.maximum(count - 3, 1))
    raw_spread = np.sqrt(a.mean(a.variance(forecast)))
    ratio = np.divide(spread, raw_spread, out=np.zeros_like(spread), where=raw_spread > 0)
    return _packed(np.broadcast_to(y0, f0.shape), f0, c[..., 0], c[..., 1], c[..., 2], ratio)


def predict_mlr(parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Regression of the ensemble mean and the year, with the raw anomalies rescaled about it."""
    forecast = root(forecast, kind)
    centre = a.mean(forecast)
    y0, f0, c0, c1, c2, ratio = _columns(parameters)
    line = c0 + c1 * (centre - f0) + c2 * (years - y0)
    return unroot(line[..., None] + (forecast - centre[..., None]) * ratio[..., None], kind)
