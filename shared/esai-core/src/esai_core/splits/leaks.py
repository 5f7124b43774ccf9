"""Guards against truth that training and test samples share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError
from esai_core.splits.folds import Fold, Positions


def drop_overlap(fold: Fold, valid_time: ArrayLike, *, embargo: np.timedelta64 | None = None) -> Fold:
    """Drop the training samples whose truth reaches into the test period.

    Parameters
    ----------
    fold : Fold
        Positions of samples.
    valid_time : array of datetime64, shape (n,) or (n, leads)
        Valid times of each sample: all that its truth is made of, such as all leads of a start.
    embargo : timedelta64, optional
        Also drop training samples with a valid time this close to one of the test samples.

    Returns
    -------
    Fold
        With the same test part.
    """
    leaking = _leaking(fold.train, fold.test, valid_time, embargo)
    return replace(fold, train=fold.train[~leaking], inner=())


def assert_no_leak(
    train: Positions, test: Positions, valid_time: ArrayLike, *, embargo: np.timedelta64 | None = None
) -> None:
    """Raise a `UsageError` if a training sample shares a valid time with a test sample.

    Parameters as in `drop_overlap`, which removes what is refused here.
    """
    leaking = _leaking(train, test, valid_time, embargo)
    if leaking.any():
        times = np.asarray(valid_time).reshape(len(np.asarray(valid_time)), -1)
        shown = times[train[leaking][0]].max()
        raise UsageError(
            f"{int(leaking.sum())} training samples share truth with test samples, such as one valid {shown}",
            where="split",
            remedy="drop them (splits.drop_overlap) or move the boundary",
        )


def _leaking(
    train: Positions, test: Positions, valid_time: ArrayLike, embargo: np.timedelta64 | None
) -> NDArray[np.bool_]:
    times = np.asarray(valid_time)
    times = times.reshape(len(times), -1)
    if times.dtype.kind != "M":
        raise UsageError(f"valid times must be datetime64, not {times.dtype}", where="split")
    tested = np.unique(times[test])
    tested = tested[~np.isnat(tested)]
    mine = times[train]
    if embargo is None or not len(tested):
        return np.asarray(np.isin(mine, tested).any(axis=1))
    after = np.searchsorted(tested, mine).clip(0, len(tested) - 1)
    before = (after - 1).clip(0)
    near = (np.abs(tested[after] - mine) <= embargo) | (np.abs(tested[before] - mine) <= embargo)
    return np.asarray(near.any(axis=1))
