"""Empirical quantile mapping (EQM) and quantile delta mapping (QDM), per cell.

Shapes as in `linear`. The definitions are those of xsdba's ``EmpiricalQuantileMapping`` and
``QuantileDeltaMapping`` (``interp="linear"``, ``extrapolation="constant"``): the ADJUSTMENT is interpolated
between `NODES` quantiles at ``(i + 1/2) / NODES`` and held constant outside them.
Cannon, Sobie and Murdock (2015), doi:10.1175/JCLI-D-14-00754.1, equations 1 and 4 to 6.
"""

from __future__ import annotations

import numpy as np

from . import _arrays as a
from .linear import FACTOR_LIMIT

NODES = 35
DRY = 1e-3  # a value below this fraction of the reference's mean counts as dry


def _pooled(forecast: np.ndarray) -> np.ndarray:
    return forecast.reshape(*forecast.shape[:-2], -1)


def fit_quantiles(forecast: np.ndarray, target: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """Quantiles of all members pooled and the adjustment to those of the target.

    Additive coefficients: ``NODES`` forecast quantiles, ``NODES`` differences. Multiplicative: the same with
    ratios over wet values, then the target's wet quantiles, the dry threshold and the two dry frequencies.
    """
    p = a.plotting_positions(NODES)
    values = _pooled(forecast)
    if kind == "additive":
        nodes, goal = a.quantiles(values, p), a.quantiles(target, p)
        return np.concatenate([nodes, a.average_ties(nodes, goal - nodes)], axis=-1)
    dry = DRY * np.maximum(a.mean(target), 0.0)
    wet_f = np.where(values > dry[..., None], values, np.nan)
    wet_t = np.where(target > dry[..., None], target, np.nan)
    nodes, goal = a.quantiles(wet_f, p), a.quantiles(wet_t, p)
    none_f, none_t = (np.asarray(np.isnan(v).all(-1)) for v in (wet_f, wet_t))
    nodes = np.where(none_f[..., None], np.broadcast_to(goal, nodes.shape), nodes)
    goal = np.where(none_t[..., None], 0.0, goal)
    nodes = np.where((none_f & none_t)[..., None], 1.0, nodes)
    factor = np.clip(goal / np.maximum(nodes, np.finfo(float).tiny), 0.0, FACTOR_LIMIT)
    fraction_f, fraction_t = (
        np.divide((v <= dry[..., None]).sum(-1), n, out=np.full(n.shape, np.nan), where=n > 0)
        for v, n in ((values, np.isfinite(values).sum(-1)), (target, np.isfinite(target).sum(-1)))
    )
    tail = [dry[..., None], fraction_f[..., None], fraction_t[..., None]]
    return np.concatenate([nodes, a.average_ties(nodes, factor), goal, *tail], axis=-1)


def _wettened(
    parameters: np.ndarray, values: np.ndarray, years: np.ndarray, members: int
) -> tuple[np.ndarray, np.ndarray]:
    """Turn the surplus of dry forecast values into small wet ones (Themessl et al. 2012, section 3.3).

    A dry value stays dry with probability ``P_T(dry) / P_F(dry)``; the others get a quantile of the target
    between the two dry frequencies, from a number that is fixed by the year and the member: no random state.
    """
    dry, fraction_f, fraction_t = (parameters[..., i, None] for i in (-3, -2, -1))
    index = (np.asarray(years)[:, None] * 1000 + np.arange(members)).ravel()
    u = a.golden(index) * fraction_f
    is_dry = values <= dry
    surplus = is_dry & (u > fraction_t)
    share = np.clip((u - fraction_t) / np.maximum(1.0 - fraction_t, 1e-12), 0.0, 1.0)
    positions = np.broadcast_to(a.plotting_positions(NODES), (*values.shape[:-1], NODES))
    drawn = a.interpolate(
        np.broadcast_to(share, values.shape), positions, parameters[..., 2 * NODES : 3 * NODES]
    )
    return is_dry, np.where(surplus, drawn, 0.0)


def predict_eqm(parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """``x + A(x)`` with A the adjustment interpolated at x (``x A(x)`` when multiplicative)."""
    values = _pooled(forecast)
    nodes, adjustment = parameters[..., :NODES], parameters[..., NODES : 2 * NODES]
    change = a.interpolate(values, nodes, adjustment)
    return _applied(parameters, forecast, values, change, years, kind)


def predict_qdm(parameters: np.ndarray, forecast: np.ndarray, years: np.ndarray, kind: str) -> np.ndarray:
    """``x + A(tau)``, with tau the rank of x among all values asked for together: keeps the model's change.

    ``tau = (r - 1) / (n - 1)`` over the years and members given in one call (per start month and lead).
    """
    values = _pooled(forecast)
    change = a.at_rank(values, parameters[..., NODES : 2 * NODES])
    return _applied(parameters, forecast, values, change, years, kind)


def _applied(
    parameters: np.ndarray,
    forecast: np.ndarray,
    values: np.ndarray,
    change: np.ndarray,
    years: np.ndarray,
    kind: str,
) -> np.ndarray:
    if kind == "additive":
        out = values + change
    else:
        is_dry, replacement = _wettened(parameters, values, years, forecast.shape[-1])
        out = np.where(is_dry, replacement, np.maximum(values, 0.0) * change)
        out = np.where(np.isfinite(values) & np.isfinite(change), out, np.nan)
    return out.reshape(forecast.shape)
