"""Weights of the ensemble: the least RPS of out-of-fold forecasts on the simplex, pulled towards climatology.

The RPS of a mixture is a quadratic form in its weights, so that all a fold needs to tell is one small matrix:
A[i, j] = sum over cases and edges of (F_i - O)(F_j - O), with sum(w) = 1 the RPS is w' A w.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

__all__ = ["choose_weights", "gram", "mix", "simplex_weights"]


def gram(
    probabilities: Mapping[str, np.ndarray], codes: np.ndarray, *, weights: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Return the matrix A (methods, methods) of the cases that all methods have, and their weight.

    Parameters
    ----------
    probabilities : mapping of str to (n, cells, K)
        Method to out-of-fold probabilities.
    codes : (n, cells)
        Observed category, NaN where missing.
    weights : (cells,), optional
        Weight of each cell.
    """
    stack = np.stack(list(probabilities.values()))
    known = ~np.isnan(stack).any(axis=(0, -1)) & ~np.isnan(codes)
    size = stack.shape[-1]
    weight = np.broadcast_to(np.ones(codes.shape[1]) if weights is None else weights, codes.shape)[known]
    happened = (codes[known][:, None] <= np.arange(size - 1)).astype(np.float64)
    departure = np.cumsum(stack[:, known, :], axis=-1)[..., :-1] - happened
    flat = (departure * np.sqrt(weight)[:, None]).reshape(len(stack), -1)
    return flat @ flat.T, float(weight.sum())


def simplex_weights(matrix: np.ndarray, *, pull: float = 0.0, centre: int = 0) -> np.ndarray:
    """Return the w >= 0, sum(w) = 1, that minimises w' A w + pull |w - e|^2, e all on `centre`; exact.

    Parameters
    ----------
    matrix : (m, m)
        Mean A of `gram`: positive semidefinite.
    pull : float
        Shrinkage, in the units of A.
    centre : int
        Position of climatology.

    Notes
    -----
    With the few methods there are, every set of non-zero weights is tried and its equations solved, which
    leaves no tolerance or starting point to choose.
    """
    size = len(matrix)
    quadratic = matrix + pull * np.eye(size)
    target = np.zeros(size)
    target[centre] = pull
    best, least = np.eye(size)[centre], np.inf
    for number in range(1, size + 1):
        for chosen in combinations(range(size), number):
            at = list(chosen)
            system = np.ones((number + 1, number + 1))
            system[:number, :number] = quadratic[np.ix_(at, at)]
            system[number, number] = 0.0
            solved = np.linalg.lstsq(system, np.append(target[at], 1.0), rcond=None)[0][:number]
            if (solved < -1e-12).any() or abs(solved.sum() - 1.0) > 1e-8:
                continue
            weights = np.zeros(size)
            weights[at] = np.maximum(solved, 0.0)
            value = float(weights @ quadratic @ weights - 2.0 * target @ weights)
            if value < least - 1e-15:
                best, least = weights, value
    return best / best.sum()


def mix(probabilities: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """Return the weighted mean (n, cells, K); where a method is missing, of the others with their weights.

    Climatology is never missing: where all others are, or their weights are 0, its forecast is left.
    """
    total: np.ndarray | None = None
    mass: np.ndarray | None = None
    for name, values in probabilities.items():
        there = ~np.isnan(values[..., :1])
        # Climatology keeps a trace of weight, so that a case with nothing else is a forecast too.
        weight = there * max(weights[name], 1e-12 if name == "climatology" else 0.0)
        part = np.where(there, values, 0.0) * weight
        total = part if total is None else total + part
        mass = weight if mass is None else mass + weight
    if total is None or mass is None:
        raise ValueError("no method to mix")
    return total / mass


PULLS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)


def choose_weights(
    blocks: Sequence[tuple[np.ndarray, float]], families: Sequence[str], *, shrinkage: float | None = None
) -> np.ndarray:
    """Return the weights of the methods; the first is climatology.

    Weights of everything at once follow the noise of a dozen winters, and which of two like methods is the
    better one is noise as well: weights that leave a winter out even follow it the wrong way round. So the
    best single method and those like it share their weight evenly. Alike are methods whose RPS on blocks that
    the weights have not seen (each block left out in turn) is not higher by more than one standard error over
    the blocks, or by two within the family of the best. Others are added one at a time, and only where they
    lower that RPS by more than a standard error; the pull towards climatology that does best on left-out
    blocks is taken.

    Parameters
    ----------
    blocks : sequence of (matrix, weight)
        `gram` of the out-of-fold forecasts of each block (winter, year).
    families : sequence of str
        Family of each method; climatology is one of its own.
    shrinkage : float, optional
        The pull, relative to the RPS of climatology, instead of the best of `PULLS`.
    """
    matrices = np.stack([matrix for matrix, _ in blocks])
    mass = np.array([weight for _, weight in blocks])
    size = matrices.shape[1]
    if size == 1:
        return np.ones(1)

    def weights(chosen: list[int], keep: np.ndarray, pull: float) -> np.ndarray:
        mean = matrices[keep].sum(axis=0) / mass[keep].sum()
        found = np.zeros(size)
        part = mean[np.ix_(chosen, chosen)]
        found[chosen] = simplex_weights(part, pull=pull * mean[0, 0])
        return found

    def losses(chosen: list[int], pull: float) -> np.ndarray:
        """Return the summed RPS of each block under weights from the other blocks."""
        found = []
        for i, matrix in enumerate(matrices):
            w = weights(chosen, np.arange(len(matrices)) != i, pull)
            found.append(w @ matrix @ w)
        return np.array(found)

    everything = np.arange(len(matrices))
    if len(matrices) < 3:
        return weights(list(range(size)), everything, 0.01 if shrinkage is None else shrinkage)
    singles = {j: losses([0, j], 0.0) for j in range(1, size)}
    alike = _alike(singles, families)
    alone = [j for j in singles if j not in alike]
    parts = np.vstack([np.eye(size)[0], np.isin(np.arange(size), alike) / len(alike), np.eye(size)[alone]])
    matrices = parts @ matrices @ parts.T  # from here on methods that are alike are one
    size = len(parts)
    chosen, current = [0, 1], losses([0, 1], 0.0)
    while True:
        tried = {j: losses(sorted([*chosen, j]), 0.0) for j in range(1, size) if j not in chosen}
        better = {j: loss for j, loss in tried.items() if _clearly(current - loss)}
        if not better:
            break
        added = min(better, key=lambda j: float(better[j].sum()))
        chosen, current = sorted([*chosen, added]), better[added]
    pull = shrinkage
    if pull is None:
        pull = min(PULLS, key=lambda p: float(losses(chosen, p).sum()))
    return weights(chosen, everything, pull) @ parts


def _alike(losses: Mapping[int, np.ndarray], families: Sequence[str]) -> list[int]:
    """Return the best method and those that are not clearly worse; `losses` (blocks,) are of each method."""
    best = min(losses, key=lambda j: float(losses[j].sum()))
    errors = {j: 2.0 if families[j] == families[best] else 1.0 for j in losses}
    return [j for j in losses if not _clearly(losses[j] - losses[best], errors=errors[j])]


def _clearly(gain: np.ndarray, *, errors: float = 1.0) -> bool:
    """Tell whether the summed gain is more than some standard errors, from the scatter over the blocks."""
    return float(gain.sum()) > errors * float(gain.std(ddof=1)) * len(gain) ** 0.5
