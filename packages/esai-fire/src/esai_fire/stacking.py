"""The stack: per series and training set, how far to trust each forecaster beyond the climatology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from esai_core import glm

__all__ = ["WEIGHTS", "Candidate", "Stack", "stack"]

#: How far a forecast may move from the climatology, on the scale of the logarithm.
WEIGHTS = (0.5, 1.0)
#: Share of the climatology before anything is seen.
PRIOR = 0.5


@dataclass(frozen=True)
class Candidate:
    """Departures of one forecaster from the climatology, as logarithms of the ratio.

    Attributes
    ----------
    name : str
    outer : (C, n) for each row, by the training set that forecasts it.
    inner : (C, K, n) inside each outer training set; NaN where nothing is forecast.
    """

    name: str
    outer: np.ndarray
    inner: np.ndarray


@dataclass(frozen=True)
class Stack:
    """Forecasts of the stack.

    Attributes
    ----------
    outer : (C, n) forecast of each row.
    inner : (C, K, n) forecasts inside each outer set, by the same weights.
    share : (C, K, 1 + J) weights of the climatology and of each candidate; they add up to 1.
    trust : (C, K, J) what the departure of each candidate is multiplied by.
    """

    outer: np.ndarray
    inner: np.ndarray
    share: np.ndarray
    trust: np.ndarray


def _shrunk(gain: np.ndarray, error: np.ndarray, peers: np.ndarray) -> np.ndarray:
    """Draw the gains of cells towards their mean as far as chance explains their differences.

    Empirical Bayes of James and Stein: the share of the variance between cells that is sampling error.
    """
    if np.count_nonzero(peers) < 4:
        return gain
    own = gain[peers]
    mean, between = own.mean(axis=0), own.var(axis=0)
    chance = np.clip(error[peers].mean(axis=0) / np.maximum(between, 1e-12), 0.0, 1.0)
    made = gain.copy()
    made[peers] = mean + (1.0 - chance) * (own - mean)
    return made


def stack(
    y: np.ndarray,
    known: np.ndarray,
    outer: np.ndarray,
    inner: np.ndarray,
    candidates: Sequence[Candidate],
    of_row: np.ndarray,
    *,
    peers: np.ndarray,
    confidence: float = 2.0,
) -> Stack:
    r"""Average the forecasters' departures from the climatology by their gains on the inner folds.

    With D the deviance over the inner folds of an outer training set and phi = D_c / (n - 1) the dispersion,
    a forecaster m at trust w in `WEIGHTS` gains :math:`G = (D_c - D_{m,w}) / 2\phi`, a quasi-likelihood
    ratio. Gains of cells are drawn towards their mean over all peers (`_shrunk`). Then

    .. math:: \log \hat y = \log c + \sum_{m,w} p_{m,w}\, w \log(\hat y_m / c), \quad
              p \propto \pi \exp(\kappa G)

    with half of the prior on the climatology, which is all that is left where nothing gains.

    Parameters
    ----------
    y, known : (C, n) array
        Target, in any unit; where it is known.
    outer, inner : (C, n) and (C, K, n) array
        The climatology's forecasts.
    candidates : sequence of Candidate
    of_row : (n,) array
        Outer set that forecasts each row.
    peers : (C,) bool array
        Series whose gains are drawn together (cells; totals of regions stand alone).
    confidence : float
        kappa.

    Returns
    -------
    Stack
    """
    inside = np.isfinite(inner) & known[:, None]
    safe = np.where(inside, inner, 1.0)
    target = np.where(known, y, 1.0)[:, None]

    def deviance(forecast: np.ndarray) -> np.ndarray:
        each = glm.unit_deviance("poisson", np.broadcast_to(target, forecast.shape), forecast)
        return np.where(inside & np.isfinite(each), each, 0.0)

    base = deviance(safe)
    count = np.maximum(inside.sum(axis=2), 2)
    dispersion = np.maximum(base.sum(axis=2) / (count - 1), 1e-12)
    gains, errors = [], []
    steps = [(one, weight) for one in candidates for weight in WEIGHTS]
    for one, weight in steps:
        moved = safe * np.exp(weight * np.where(inside, np.nan_to_num(one.inner), 0.0))
        yearly = (base - deviance(moved)) / (2.0 * dispersion[..., None])
        total = yearly.sum(axis=2)
        off = np.where(inside, yearly - (total / count)[..., None], 0.0)
        gains.append(total)
        errors.append((off**2).sum(axis=2) * count / (count - 1))
    gain = _shrunk(np.stack(gains, axis=2), np.stack(errors, axis=2), peers)
    score = np.concatenate([np.zeros((*gain.shape[:2], 1)), confidence * gain], axis=2)
    score[..., 0] += np.log(PRIOR)
    score[..., 1:] += np.log((1.0 - PRIOR) / len(steps))
    share = np.exp(score - score.max(axis=2, keepdims=True))
    share /= share.sum(axis=2, keepdims=True)
    out, inn = np.zeros(outer.shape), np.zeros(inner.shape)
    for number, (one, weight) in enumerate(steps, start=1):
        out += share[:, of_row, number] * weight * np.nan_to_num(one.outer)
        inn += share[:, :, number, None] * weight * np.nan_to_num(one.inner)
    by_weight = share[..., 1:].reshape(*share.shape[:2], len(candidates), len(WEIGHTS))
    return Stack(
        outer * np.exp(out),
        inner * np.exp(inn),
        np.concatenate([share[..., :1], by_weight.sum(axis=3)], axis=2),
        by_weight @ np.asarray(WEIGHTS),
    )
