"""Walk the trees of a forest for many rows, compiled."""

# Kernels are typed by numba at the call.
# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["mean_shares"]


@njit(cache=True, nogil=True)
def mean_shares(rows, roots, feature, threshold, left, right, value):
    """Return the mean over trees of the class shares in the leaf of each row.

    Parameters
    ----------
    rows : (n, p) float32
        As scikit-learn compares.
    roots : (trees,)
        First node of each tree.
    feature, threshold, left, right : (nodes,)
        Feature below 0 at a leaf.
    value : (nodes, K)
        Class shares.

    Returns
    -------
    (n, K)
    """
    found = np.zeros((rows.shape[0], value.shape[1]))
    for root in roots:
        for i in range(rows.shape[0]):
            node = root
            while feature[node] >= 0:
                node = left[node] if rows[i, feature[node]] <= threshold[node] else right[node]
            for k in range(value.shape[1]):
                found[i, k] += value[node, k]
    return found / len(roots)
