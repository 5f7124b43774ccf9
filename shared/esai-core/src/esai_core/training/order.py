"""The order in which the examples of an epoch are seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["shuffled"]


def shuffled(count: int, *, epoch: int, seed: int) -> NDArray[np.int64]:
    """Give the numbers of all examples in the order of an epoch: the same for any number of workers."""
    return np.random.default_rng([seed, epoch]).permutation(count)
