"""Gaps as clouds make them: in blobs that stay for a while."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from esai_core.errors import UsageError
from esai_core.synthetic import correlated_fields

__all__ = ["CHOOSE", "LEARN", "TEST", "draw_blobs", "part_cells", "time_runs"]

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


def time_runs(times: int, *, duration: float) -> NDArray[np.int64]:
    """Label times by runs of twice the duration of a blob; each time by itself where blobs do not stay."""
    return np.arange(times) // (math.ceil(2 * duration) if duration > 1 else 1)


def part_cells(
    observed: NDArray[np.bool_], *, share: float, choose: float, length: float, duration: float, seed: int
) -> NDArray[np.int8]:
    """Part the observed cells into those to learn from, to choose by and to test on; the last two in blobs.

    The blobs of some runs of times choose, those of the others test: so both are of one kind, and what is
    calibrated on the first holds for the second.

    Parameters
    ----------
    observed : array (time, latitude, longitude) of bool
    share : float
        Share of the cells of each time that is hidden.
    choose : float
        Share of the times whose blobs choose.
    length, duration : float
        Of the blobs.
    seed : int

    Returns
    -------
    array (time, latitude, longitude) of int8
        0 (not observed), `LEARN`, `CHOOSE` or `TEST`.
    """
    rng = np.random.default_rng(seed)
    hidden = draw_blobs(rng, observed, share=share, length=length, duration=duration)
    runs = time_runs(len(observed), duration=duration)
    count = runs[-1] + 1
    if count < 2:
        raise UsageError(
            f"{len(observed)} times for blobs that stay {duration:g}", remedy="give a longer series"
        )
    chosen = rng.permutation(count)[: min(max(1, round(choose * count)), count - 1)]
    chooses = np.isin(runs, chosen)[:, None, None]
    parts = observed.astype(np.int8)
    parts[hidden & chooses], parts[hidden & ~chooses] = CHOOSE, TEST
    return parts
