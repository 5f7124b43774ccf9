r"""Area of applicability: where a map asks for what the model was taught (Meyer and Pebesma 2021).

Predictors are standardised and weighted by their importance in the model. With :math:`d(a, b)` the distance
there, the dissimilarity index of a new point is

.. math:: DI = \min_i d(x, x_i) \big/ \bar d, \qquad \bar d = \text{mean}_{i \ne j} \, d(x_i, x_j),

over training points :math:`x_i`. That of a training point takes the nearest point of another fold of the
cross-validation; the upper whisker of these (the largest that is not above :math:`Q_{75} + 1.5 \, IQR`) is
the
threshold. Inside it the scores of that cross-validation hold; beyond, nothing is known of the error.

Meyer and Pebesma (2021), Methods in Ecology and Evolution 12, doi:10.1111/2041-210X.13650.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Applicability", "fit_applicability"]

Array = NDArray[np.float64]
MOST = 3000
"""Training points that are kept, drawn once: both sides of the comparison are of the same draw."""
CHUNK = 4096


@dataclass(frozen=True)
class Applicability:
    """What is needed to tell how far a point is from the training data.

    Attributes
    ----------
    mean, scale, weights : array (predictor,)
        Of the standardisation, and importance.
    points : array (point, predictor)
        Training points, standardised and weighted.
    typical : float
        Mean distance of two training points.
    threshold : float
        Largest index of the area of applicability.
    """

    mean: Array
    scale: Array
    weights: Array
    points: Array
    typical: float
    threshold: float

    def index(self, rows: NDArray) -> Array:
        """Give the dissimilarity index of rows (row, predictor); a missing predictor counts as its mean."""
        made = _place(rows, self.mean, self.scale, self.weights)
        return _nearest(made, self.points) / self.typical

    def inside(self, rows: NDArray) -> NDArray[np.bool_]:
        """Tell whether rows are within the area of applicability."""
        return self.index(rows) <= self.threshold


def fit_applicability(
    rows: NDArray, part: NDArray[np.int64], importance: Array, *, seed: int = 0, most: int = MOST
) -> Applicability:
    """Learn the area of applicability.

    Parameters
    ----------
    rows : array (row, predictor)
        Training data.
    part : int array (row,)
        Fold in which each row is tested.
    importance : array (predictor,)
        0 or more.
    seed : int
        Of the draw of training points.
    most : int
        Training points to keep.

    Returns
    -------
    Applicability
    """
    chosen = np.arange(len(rows))
    if len(rows) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
    x = rows[chosen].astype(np.float64)
    there = np.isfinite(x)
    count = np.maximum(there.sum(axis=0), 2)
    mean = np.where(there, x, 0.0).sum(axis=0) / count
    scale = np.sqrt(np.where(there, (x - mean) ** 2, 0.0).sum(axis=0) / (count - 1))
    scale = np.where(scale > 0, scale, 1.0)
    points = _place(x, mean, scale, importance)
    typical = _mean_distance(points)
    fold = part[chosen]
    own = np.full(len(points), np.nan)
    for one in np.unique(fold):
        if (fold != one).any():
            own[fold == one] = _nearest(points[fold == one], points[fold != one])
    own = own[np.isfinite(own)] / typical
    q1, q3 = np.quantile(own, [0.25, 0.75])
    threshold = float(own[own <= q3 + 1.5 * (q3 - q1)].max())
    return Applicability(mean, scale, np.asarray(importance, np.float64), points, typical, threshold)


def _place(rows: NDArray, mean: Array, scale: Array, weights: Array) -> Array:
    z = (np.asarray(rows, np.float64) - mean) / scale
    return np.where(np.isfinite(z), z, 0.0) * weights


def _nearest(points: Array, others: Array) -> Array:
    """Distance of each point to the nearest of others, by chunks."""
    squares = (others**2).sum(axis=1)
    out = np.empty(len(points))
    for first in range(0, len(points), CHUNK):
        part = points[first : first + CHUNK]
        place = (squares[None, :] - 2.0 * (part @ others.T)).argmin(axis=1)
        out[first : first + CHUNK] = np.sqrt(((part - others[place]) ** 2).sum(axis=1))
    return out


def _mean_distance(points: Array) -> float:
    total, n = 0.0, len(points)
    for first in range(0, n, CHUNK):
        part = points[first : first + CHUNK]
        square = (part**2).sum(axis=1)[:, None] + (points**2).sum(axis=1)[None, :] - 2.0 * (part @ points.T)
        total += float(np.sqrt(np.maximum(square, 0.0)).sum())
    return total / (n * (n - 1)) if total > 0 else 1.0
