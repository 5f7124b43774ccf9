"""Splits by the label of each sample: stations, years, blocks of space."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from esai_core.errors import UsageError, nearest
from esai_core.splits.folds import Fold, positions


def _labels(groups: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(groups)
    if values.ndim != 1:
        raise UsageError(f"groups must be a list of labels, not of shape {values.shape}", where="split")
    names, codes = np.unique(values, return_inverse=True)
    if len(names) < 2:
        raise UsageError(f"{len(names)} group: a split needs two or more", where="split")
    return names, codes


def leave_one_out(groups: ArrayLike, *, gap: int = 0) -> list[Fold]:
    """Hold out each group in turn: years, seasons, stations, UTM zones.

    Parameters
    ----------
    groups : array, shape (n,)
        Label of each sample. Labels that sort in time, such as `year_blocks`, make `gap` meaningful.
    gap : int
        Also leave out of training that many groups on each side of the one held out.

    Returns
    -------
    list of Fold
        One per group, in the order of the labels.
    """
    names, codes = _labels(groups)
    if gap < 0:
        raise UsageError(f"a gap of {gap} groups", remedy="give 0 or more")
    return [
        Fold(positions(np.abs(codes - i) > gap), positions(codes == i), name=str(name))
        for i, name in enumerate(names)
    ]


def expanding_window(
    groups: ArrayLike,
    *,
    min_train: int,
    test_size: int = 1,
    gap: int = 0,
    window: int | None = None,
) -> list[Fold]:
    """Train on the past and test on what comes next, again and again: a forecast as it would have been made.

    Parameters
    ----------
    groups : array, shape (n,)
        Time label of each sample, such as its year, day or issue date; groups are taken in their order.
    min_train : int
        Groups in the first training part.
    test_size : int
        Groups in each test part; the last may be shorter.
    gap : int
        Groups left out between training and test, such as the lead days whose truth is not known at issue
        time.
    window : int, optional
        Keep only that many last groups for training (a sliding window).

    Raises
    ------
    UsageError
        If there are not enough groups for one fold, or a number is out of range.
    """
    names, codes = _labels(groups)
    if min_train < 1 or test_size < 1 or gap < 0 or (window is not None and window < 1):
        raise UsageError("min_train, test_size and window must be 1 or more, gap 0 or more", where="split")
    if min_train + gap >= len(names):
        raise UsageError(
            f"{len(names)} groups are too few for min_train {min_train} and gap {gap}", where="split"
        )
    folds = []
    for first in range(min_train + gap, len(names), test_size):
        oldest = 0 if window is None else max(0, first - gap - window)
        train = (codes >= oldest) & (codes < first - gap)
        test = (codes >= first) & (codes < first + test_size)
        folds.append(Fold(positions(train), positions(test), name=str(names[first])))
    return folds


def k_fold(groups: ArrayLike, *, k: int, seed: int = 0) -> list[Fold]:
    """Hold out each of `k` random parts of the groups in turn; a group is never torn apart.

    Parameters
    ----------
    groups : array, shape (n,)
        Label of each sample: station, block of space or time. Give ``np.arange(n)`` for plain samples only
        where these share nothing.
    k : int
        Number of parts, 2 or more.
    seed : int
        Seed of the draw, which depends on the labels but not on the order of the samples.
    """
    names, codes = _labels(groups)
    if not 2 <= k <= len(names):
        raise UsageError(f"k = {k} parts of {len(names)} groups", remedy="give 2 <= k <= number of groups")
    part = np.empty(len(names), dtype=np.int64)
    part[np.random.default_rng(seed).permutation(len(names))] = np.arange(len(names)) % k
    part = part[codes]
    return [Fold(positions(part != i), positions(part == i), name=str(i)) for i in range(k)]


def hold_out(groups: ArrayLike, test: Iterable[Any]) -> Fold:
    """Hold out the named groups, such as a UTM zone or a list of stations.

    Raises
    ------
    UsageError
        If a name is not among the groups, or none is left to train on.
    """
    values, wanted = np.asarray(groups), list(test)
    names = set(values.tolist())
    unknown = [str(w) for w in wanted if w not in names]
    if unknown:
        raise UsageError(
            f"no group {', '.join(unknown)} to hold out",
            remedy=nearest(unknown[0], map(str, names)),
        )
    held = np.isin(values, wanted)
    return Fold(positions(~held), positions(held), name=", ".join(map(str, wanted)))
