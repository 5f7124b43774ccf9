"""Blocks of time that are taken to be exchangeable."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError

__all__ = ["time_blocks"]


def time_blocks(times: ArrayLike, *, days: float) -> NDArray[np.int64]:
    """Label each time with its block of `days`, counted from the earliest.

    Parameters
    ----------
    times : array (n,) of datetime64
        In any order, repeats allowed (one row per station and time).
    days : float
        Length of a block: longer than errors stay alike (weather 10-15 days, sea surface months).

    Returns
    -------
    array (n,) of int64
        For `conformal_quantile`, and as groups for `esai_core.splits.k_fold`. Years and seasons:
        `esai_core.splits.year_blocks`, `season_blocks`; places: `block_labels`.

    Raises
    ------
    UsageError
        If the times are no dates, are missing, or the length is not above 0.
    """
    values = np.asarray(times)
    if values.dtype.kind != "M" or values.ndim != 1 or values.size == 0 or np.isnat(values).any():
        raise UsageError("blocks need a list of dates without gaps", where=f"times of type {values.dtype}")
    if not days > 0:
        raise UsageError(f"days = {days}", remedy="give a length above 0")
    seconds = (values - values.min()) / np.timedelta64(1, "s")
    return np.floor(seconds / (86400.0 * days)).astype(np.int64)
