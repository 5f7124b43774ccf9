"""Scores of probabilities against masks, pixel by pixel and plant by plant."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core import verify
from esai_wwtp.chips import IGNORE
from esai_wwtp.rasters import SCALE

__all__ = ["pixel_scores", "precision_recall", "reliability_of"]

BINS = 10


def pixel_scores(probability: NDArray, target: NDArray[np.uint8], *, threshold: float) -> dict[str, Any]:
    """Score the pixels that count.

    Parameters
    ----------
    probability : array
        NaN where nothing was classified; such pixels count as not found.
    target : array
        0, 1 or `esai_wwtp.chips.IGNORE`; same shape.
    threshold : float
        Probability that is called the class.

    Returns
    -------
    dict
        ``iou, f1, precision, recall, pr_auc``; None where not defined.
    """
    counted = target != IGNORE
    p, y = np.nan_to_num(probability[counted], nan=0.0), target[counted] == 1
    said = p >= threshold
    hits = int((said & y).sum())
    scores = {
        "iou": verify.iou(said, y),
        "f1": verify.f1(said, y),
        "precision": hits / int(said.sum()) if said.any() else None,
        "recall": hits / int(y.sum()) if y.any() else None,
        "pr_auc": verify.pr_auc(p, y),
    }
    return {name: None if value is None or np.isnan(value) else value for name, value in scores.items()}


def precision_recall(probability: NDArray, target: NDArray[np.uint8]) -> tuple[NDArray, NDArray, NDArray]:
    """Give thresholds (0.02 ... 0.98), precision and recall of the pixels that count.

    Precision is NaN where nothing is called the class.
    """
    counted = target != IGNORE
    p, y = np.nan_to_num(probability[counted], nan=0.0), target[counted] == 1
    thresholds = np.arange(1, 50) / 50.0
    level = np.searchsorted(thresholds, p, side="right")
    said = np.bincount(level, minlength=len(thresholds) + 1)[::-1].cumsum()[::-1][1:]
    hits = np.bincount(level[y], minlength=len(thresholds) + 1)[::-1].cumsum()[::-1][1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(said > 0, hits / said, np.nan)
    return thresholds, precision, hits / max(int(y.sum()), 1)


def reliability_of(hits: NDArray[np.int64], others: NDArray[np.int64]) -> dict[str, Any]:
    """Count how often pixels were of the class where a probability was given.

    Parameters
    ----------
    hits, others : array (SCALE + 1,)
        Pixels of the class, and all others, by stored probability.

    Returns
    -------
    dict
        By bin of probability ``forecast``, ``observed`` (None without pixels) and ``count``; ``brier``, that
        of the ``prevalence`` alone, and ``calibration_error``, the mean distance of the two.
    """
    levels = np.arange(SCALE + 1) / SCALE
    which = np.minimum((levels * BINS).astype(int), BINS - 1)
    count = np.bincount(which, hits + others, BINS)
    with np.errstate(invalid="ignore"):
        forecast = np.bincount(which, (hits + others) * levels, BINS) / count
        observed = np.bincount(which, hits, BINS) / count
    total = max(float(count.sum()), 1.0)
    rate = float(hits.sum()) / total
    return {
        "forecast": [None if np.isnan(one) else float(one) for one in forecast],
        "observed": [None if np.isnan(one) else float(one) for one in observed],
        "count": count.astype(int).tolist(),
        "brier": float((hits * (1.0 - levels) ** 2 + others * levels**2).sum()) / total,
        "brier_prevalence": rate * (1.0 - rate),
        "prevalence": rate,
        "calibration_error": float(np.nansum(np.abs(forecast - observed) * count)) / total,
    }
