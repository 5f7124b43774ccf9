"""Gaps as clouds make them: in blobs that stay for a while."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from esai_core.errors import UsageError
from esai_core.synthetic import correlated_fields

__all__ = ["CHOOSE", "LEARN", "TEST", "draw_blobs", "part_cells"]

LEARN, CHOOSE, TEST = 1, 2, 3
"""What an observed cell is for; 0 where nothing was observed."""


def draw_blobs(
    rng: np.random.Generator, there: NDArray[np.bool_], *, share: float, length: float, duration: float = 1.0
) -> NDArray[np.bool_]:
    """Hide a share of the cells that are there at each time, in blobs.

    Correlated random fields (Gaussian, of `length` in space and `duration` in time) are cut at the quantile
    of each time that hides the share.

    Parameters
    ----------
    rng : numpy.random.Generator
    there : array (time, latitude, longitude) of bool
        Cells that can be hidden.
    share : float
        Between 0 and 1.
    length, duration : float
        In grid steps and time steps.

    Returns
    -------
    array (time, latitude, longitude) of bool
        True where hidden; a subset of `there`.
    """
    if not 0 < share < 1:
        raise UsageError(f"share = {share}", remedy="give a share between 0 and 1")
    noise = correlated_fields(rng, len(there), there.shape[1:], length=length)
    if duration > 1:
        noise = ndimage.gaussian_filter1d(noise, duration / 2, axis=0, mode="nearest")
    hidden = np.zeros(there.shape, bool)
    for field, cells, out in zip(noise, there, hidden, strict=True):
        count = round(share * cells.sum())
        if count:
            limit = np.partition(field[cells], count - 1)[count - 1]
            out[:] = cells & (field <= limit)
    return hidden


def part_cells(
    observed: NDArray[np.bool_], *, share: float, choose: float, length: float, duration: float, seed: int
) -> NDArray[np.int8]:
    """Part the observed cells into those to learn from, to choose by and to test on; all in blobs.

    Returns
    -------
    array (time, latitude, longitude) of int8
        0 (not observed), `LEARN`, `CHOOSE` or `TEST`.
    """
    rng = np.random.default_rng(seed)
    options = {"length": length, "duration": duration}
    test = draw_blobs(rng, observed, share=share, **options)
    chosen = draw_blobs(rng, observed & ~test, share=choose, **options)
    parts = observed.astype(np.int8)
    parts[chosen], parts[test] = CHOOSE, TEST
    return parts
