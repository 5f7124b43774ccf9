"""Gaps as clouds make them: in blobs that stay for a while."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from esai_core.errors import UsageError
from esai_core.synthetic import correlated_fields
from esai_core.tasks.scratch import Scratch, block_length, slices

__all__ = [
    "CHOOSE",
    "LEARN",
    "TEST",
    "cut_blobs",
    "draw_blobs",
    "noise_blocks",
    "part_cells",
    "time_runs",
]

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
    noise = noise_blocks(rng, len(there), there.shape[1:], length=length, duration=duration)
    return np.concatenate([cut_blobs(fields, there[times], share=share) for times, fields in noise])


def noise_blocks(
    rng: np.random.Generator, count: int, shape: tuple[int, int], *, length: float, duration: float
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Draw the fields that blobs are cut from, a block of times at a time; blocks do not change them.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
        Times.
    shape : (int, int)
        Rows and columns.
    length, duration : float
        In grid steps and time steps.

    Yields
    ------
    times : slice
    fields : array (time, latitude, longitude)
    """
    around = int(2 * duration + 0.5) if duration > 1 else 0  # times that the filter reaches to
    held, first = np.empty((0, *shape)), 0
    for times in slices(count, block_length(*shape, itemsize=64)):  # drawing takes sixteen times their room
        lacking = min(count, times.stop + around) - first - len(held)
        if lacking:
            held = np.concatenate([held, correlated_fields(rng, lacking, shape, length=length)])
        smooth = held
        if duration > 1:
            smooth = ndimage.gaussian_filter1d(held, duration / 2, axis=0, mode="nearest", radius=around)
        yield times, smooth[times.start - first : times.stop - first]
        keep = max(first, times.stop - around)
        held, first = held[keep - first :], keep


def cut_blobs(noise: NDArray[np.float64], there: NDArray[np.bool_], *, share: float) -> NDArray[np.bool_]:
    """Hide the cells of lowest noise: the share of those that are there at each time.

    Raises
    ------
    UsageError
        If the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise UsageError(f"share = {share}", remedy="give a share between 0 and 1")
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
    parts: NDArray[np.int8] | Scratch,
    *,
    share: float,
    choose: float,
    length: float,
    duration: float,
    seed: int,
) -> None:
    """Part the observed cells into those to learn from, to choose by and to test on; the last two in blobs.

    The blobs of some runs of times choose, those of the others test: so both are of one kind, and what is
    calibrated on the first holds for the second.

    Parameters
    ----------
    parts : array or Scratch (time, latitude, longitude) of int8
        `LEARN` where something was observed, else 0; `CHOOSE` and `TEST` are put in.
    share : float
        Share of the cells of each time that is hidden.
    choose : float
        Share of the times whose blobs choose.
    length, duration : float
        Of the blobs.
    seed : int

    Raises
    ------
    UsageError
        If the series is too short for two runs of blobs.
    """
    rng = np.random.default_rng(seed)
    runs = time_runs(len(parts), duration=duration)
    count = runs[-1] + 1
    if count < 2:
        raise UsageError(
            f"{len(parts)} times for blobs that stay {duration:g}", remedy="give a longer series"
        )
    shape = (parts.shape[1], parts.shape[2])
    for times, noise in noise_blocks(rng, len(parts), shape, length=length, duration=duration):
        block = parts[times]
        block[cut_blobs(noise, block > 0, share=share)] = TEST
        parts[times] = block
    chosen = rng.permutation(count)[: min(max(1, round(choose * count)), count - 1)]
    for times in slices(len(parts), block_length(*shape, itemsize=1)):
        block = parts[times]
        block[(block == TEST) & np.isin(runs[times], chosen)[:, None, None]] = CHOOSE
        parts[times] = block
