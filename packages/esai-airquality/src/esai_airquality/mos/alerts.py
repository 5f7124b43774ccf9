"""Alerts: calibrated chances of an event, and the chance at which to raise one, learnt from the past."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["AlertRule", "learn_rule"]


@dataclass(frozen=True)
class AlertRule:
    r"""How a raw chance becomes a calibrated one and an alert.

    Attributes
    ----------
    slope, intercept : float
        Of :math:`\mathrm{logit}\,p' = a\,\mathrm{logit}\,p + b` (Platt 1999).
    cutoff : float
        Calibrated chance from which on there is an alert.
    cases : int
        Past predictions that the rule was learnt from; 0 for the rule to start with.
    """

    slope: float
    intercept: float
    cutoff: float
    cases: int

    def calibrate(self, chance: NDArray) -> NDArray[np.float32]:
        """Give calibrated chances."""
        z = self.slope * _logit(chance) + self.intercept
        return (1.0 / (1.0 + np.exp(-z))).astype(np.float32)


def _logit(chance: NDArray) -> NDArray[np.float64]:
    p = np.clip(np.asarray(chance, np.float64), 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def learn_rule(chance: NDArray, event: NDArray[np.bool_], *, first_cutoff: float) -> AlertRule:
    """Learn calibration and cut-off from past predictions that no fit had seen.

    Parameters
    ----------
    chance : array (n,)
        Raw chances.
    event : bool array (n,)
        What came.
    first_cutoff : float
        Cut-off where there are fewer than 50 past events.

    Returns
    -------
    AlertRule
        With the cut-off of the highest critical success index.
    """
    if event.sum() < 50 or event.all():
        return AlertRule(1.0, 0.0, first_cutoff, 0)
    z, y = _logit(chance), event.astype(np.float64)
    a, b = _platt(z, y)
    order = np.argsort(-z, kind="stable")
    hits = np.cumsum(event[order])
    said = np.arange(1, len(order) + 1)
    csi = hits / (said + event.sum() - hits)
    ends = np.flatnonzero(np.r_[z[order][1:] != z[order][:-1], True])  # a cut-off cannot part equal chances
    best = ends[np.argmax(csi[ends])]
    rule = AlertRule(float(a), float(b), 0.5, len(z))
    cutoff = float(rule.calibrate(np.array([chance[order[best]]]))[0])
    return AlertRule(float(a), float(b), cutoff, len(z))


def _platt(z: NDArray, y: NDArray) -> tuple[float, float]:
    """Fit slope and intercept of the calibration by Newton's method with halved steps; (1, 0) where it fails.

    A weak pull towards (1, 0), worth one case, keeps them finite where the chances part the events perfectly.
    """

    def loss(at: NDArray) -> float:
        t = at[0] * z + at[1]
        return float(np.sum(np.logaddexp(0.0, t) - y * t) + 0.5 * np.sum((at - (1.0, 0.0)) ** 2))

    at = np.array([1.0, 0.0])
    now = loss(at)
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(at[0] * z + at[1], -30, 30)))
        w = p * (1 - p)
        slope = np.array([np.dot(p - y, z), np.sum(p - y)]) + at - (1.0, 0.0)
        curve = np.array([[np.dot(w, z * z), np.dot(w, z)], [np.dot(w, z), np.sum(w)]]) + np.eye(2)
        step, new = np.linalg.solve(curve, slope), np.inf
        for _ in range(30):
            new = loss(at - step)
            if new <= now:
                break
            step = step / 2
        if not new < now:
            break
        at, now = at - step, new
        if np.abs(step).max() < 1e-9:
            break
    return (float(at[0]), float(at[1])) if at[0] > 0 else (1.0, 0.0)
