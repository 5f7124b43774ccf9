"""Scores of masks: pixel by pixel, and object by object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from esai_core.errors import InputError, UsageError


def _masks(forecast: ArrayLike, observed: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    said, done = np.asarray(forecast), np.asarray(observed)
    if said.shape != done.shape:
        raise InputError(f"masks of different shapes: forecast {said.shape}, observed {done.shape}")
    for mask, name in ((said, "forecast"), (done, "observed")):
        if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
            raise InputError(
                "a mask has values other than 0 and 1", where=name, remedy="apply a threshold first"
            )
    return said.astype(bool), done.astype(bool)


def iou(forecast: ArrayLike, observed: ArrayLike) -> float:
    """Return intersection over union of two masks of equal shape; NaN where both are empty; perfect is 1."""
    said, done = _masks(forecast, observed)
    union = int((said | done).sum())
    return int((said & done).sum()) / union if union else float("nan")


def f1(forecast: ArrayLike, observed: ArrayLike) -> float:
    """Return F1, 2 TP / (2 TP + FP + FN), of two masks; NaN where both are empty; perfect is 1."""
    said, done = _masks(forecast, observed)
    total = int(said.sum()) + int(done.sum())
    return 2 * int((said & done).sum()) / total if total else float("nan")


def pr_auc(probability: ArrayLike, observed: ArrayLike) -> float:
    """Return the area under the precision-recall curve as average precision; perfect is 1.

    The sum of precision times the step in recall over all thresholds, equal values together: no
    interpolation, which would flatter rare classes (Davis and Goadrich 2006). Its value without skill is the
    prevalence.

    Parameters
    ----------
    probability : array
        Any value that ranks the pixels; NaN is refused.
    observed : array of bool
        Same shape.

    Returns
    -------
    float
        NaN where nothing was observed.
    """
    score = np.asarray(probability, dtype=np.float64).ravel()
    done = _masks(np.zeros(np.shape(probability), bool), observed)[1].ravel()
    if np.isnan(score).any():
        raise InputError("a probability is NaN", remedy="leave out what was not classified")
    if not done.any():
        return float("nan")
    order = np.argsort(-score, kind="stable")
    score, hit = score[order], done[order]
    last = np.flatnonzero(np.r_[score[1:] != score[:-1], True])
    hits = np.cumsum(hit)[last]
    precision = hits / (last + 1)
    return float(np.sum(precision * np.diff(hits, prepend=0)) / hits[-1])


@dataclass(frozen=True)
class ObjectMatch:
    """Which forecast objects are which observed ones.

    Attributes
    ----------
    pairs : array of int, shape (n, 2)
        Numbers (from 0) of matched forecast and observed objects, each in one pair at most.
    forecast, observed : int
        How many objects there are.
    """

    pairs: NDArray[np.int64]
    forecast: int
    observed: int

    @property
    def precision(self) -> float:
        """Share of the forecast objects that are matched; NaN without any."""
        return len(self.pairs) / self.forecast if self.forecast else float("nan")

    @property
    def recall(self) -> float:
        """Share of the observed objects that are matched; NaN without any."""
        return len(self.pairs) / self.observed if self.observed else float("nan")

    @property
    def f1(self) -> float:
        """2 matches / (forecast + observed objects); NaN without any."""
        total = self.forecast + self.observed
        return 2 * len(self.pairs) / total if total else float("nan")

    def weighted_recall(self, weights: ArrayLike) -> float:
        """Return the matched share of the weights (such as loads) of the observed objects."""
        load = np.asarray(weights, dtype=np.float64)
        if load.shape != (self.observed,) or not (load >= 0).all():
            raise UsageError(f"give one weight >= 0 for each of the {self.observed} observed objects")
        return float(load[self.pairs[:, 1]].sum() / load.sum()) if load.sum() > 0 else float("nan")


def match_objects(forecast: ArrayLike, observed: ArrayLike, *, threshold: float = 0.3) -> ObjectMatch:
    """Match the connected parts (8 neighbours) of two masks that overlap with an IoU of `threshold` or more.

    Pairs are taken from the largest IoU down, each object once. Objects are numbered from the top left, as
    `scipy.ndimage.label` does.

    Parameters
    ----------
    forecast, observed : array of bool, shape (rows, columns)
        Masks of equal shape.
    threshold : float
        Least IoU of a match, in (0, 1].
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"an IoU threshold of {threshold}", remedy="give 0 < threshold <= 1")
    said, done = _masks(forecast, observed)
    if said.ndim != 2:
        raise InputError(f"masks must have two dimensions, not {said.ndim}")
    ours, n_ours = ndimage.label(said, structure=np.ones((3, 3)))
    theirs, n_theirs = ndimage.label(done, structure=np.ones((3, 3)))
    both = (ours > 0) & (theirs > 0)
    code, overlap = np.unique(ours[both].astype(np.int64) * (n_theirs + 1) + theirs[both], return_counts=True)
    a, b = code // (n_theirs + 1) - 1, code % (n_theirs + 1) - 1
    size_a = np.bincount(ours.ravel(), minlength=n_ours + 1)[1:]
    size_b = np.bincount(theirs.ravel(), minlength=n_theirs + 1)[1:]
    value = overlap / (size_a[a] + size_b[b] - overlap)
    return ObjectMatch(_greedy(a, b, -value, value >= threshold), n_ours, n_theirs)


def match_points(forecast: ArrayLike, observed: ArrayLike, *, distance: float) -> ObjectMatch:
    """Match points that are no further apart than `distance`, from the closest pair on, each point once.

    Parameters
    ----------
    forecast, observed : array, shape (n, 2)
        Coordinates in a projection, in the unit of `distance` (metres).
    distance : float
        Largest distance of a match.
    """
    ours, theirs = (np.asarray(p, dtype=np.float64).reshape(-1, 2) for p in (forecast, observed))
    if not distance > 0:
        raise UsageError(f"a distance of {distance}", remedy="give one above 0")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise InputError("a point has no coordinates (NaN)")
    if not len(ours) or not len(theirs):
        return ObjectMatch(np.empty((0, 2), np.int64), len(ours), len(theirs))
    near = cKDTree(ours).sparse_distance_matrix(cKDTree(theirs), distance, output_type="coo_matrix")
    # Pairs at distance 0 are stored as well.
    every = np.ones(near.nnz, dtype=bool)
    return ObjectMatch(_greedy(near.row, near.col, near.data, every), len(ours), len(theirs))


def _greedy(
    first: NDArray, second: NDArray, cost: NDArray[np.float64], allowed: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Take pairs from the lowest cost on, each member once; ties by number."""
    first, second, cost = first[allowed], second[allowed], cost[allowed]
    used_first: set[int] = set()
    used_second: set[int] = set()
    pairs = []
    for i in np.lexsort((second, first, cost)):
        a, b = int(first[i]), int(second[i])
        if a not in used_first and b not in used_second:
            used_first.add(a)
            used_second.add(b)
            pairs.append((a, b))
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
