"""A blend of methods: the convex combination that would have been best on the past."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["blend", "convex_weights"]

Array = NDArray[np.float64]


def convex_weights(members: Array, target: Array) -> Array:
    r"""Find :math:`\min_w \sum_i (y_i - \sum_j w_j x_{ij})^2` with :math:`w_j \ge 0, \sum_j w_j = 1`.

    Exact: the least-squares weights of every subset of members are found in closed form, and the best of
    those without a negative weight are given (stacking: Breiman 1996, doi:10.1007/BF00117832).

    Parameters
    ----------
    members : array (case, member)
        Predictions that were issued before the target was known; ten members at most.
    target : array (case,)
        What came.

    Returns
    -------
    array (member,)
    """
    number = members.shape[1]
    if number > 10:
        raise ValueError(f"{number} members: every subset is tried, ten at most")
    deviation = members - target[:, None]  # sum_j w_j x_j - y = sum_j w_j (x_j - y), as the weights sum to 1
    products = deviation.T @ deviation
    products += 1e-10 * np.trace(products) / number * np.eye(number)  # equal members share their weight
    weights, least = np.full(number, 1.0 / number), np.inf
    for size in range(1, number + 1):
        for chosen in itertools.combinations(range(number), size):
            part = products[np.ix_(chosen, chosen)]
            w = np.linalg.solve(part, np.ones(size))
            if (w < 0).any():
                continue
            w = w / w.sum()
            cost = float(w @ part @ w)
            if cost < least:
                least, weights = cost, np.zeros(number)
                weights[list(chosen)] = w
    return weights


def blend(members: Sequence[NDArray], weights: Array) -> Array:
    """Combine members; where one is missing, the others share its weight.

    Parameters
    ----------
    members : sequence of array
        Of one shape, NaN where missing.
    weights : array (member,)
        As `convex_weights` gives.

    Returns
    -------
    array
        NaN where no member with a weight is there.
    """
    total = np.zeros(members[0].shape)
    weight = np.zeros(members[0].shape)
    for values, share in zip(members, weights, strict=True):
        there = np.isfinite(values)
        total += np.where(there, share * np.asarray(values, np.float64), 0.0)
        weight += share * there
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)
