"""Which rows train for which row: leave-one-year-out or a holdout, and the folds inside each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from esai_core.errors import UsageError

__all__ = ["Plan", "make_plan"]

_LEAST_YEARS = 8


@dataclass(frozen=True)
class Plan:
    """Training sets, each a row of 0/1 weights, and who uses them.

    A training set that leaves out two years serves the inner fold of both, so that n years need
    n (n + 1) / 2 fits and not n squared.

    Attributes
    ----------
    sets : (S, n) 1 where a row trains.
    outer : (K,) position in `sets` of each outer training set; the last holds every training row.
    inner : (K, n) position in `sets` of the fit that judges a row inside an outer set, -1 where none does.
    of_row : (n,) outer set that forecasts a row: never one that trains on its year.
    train : (n,) True for rows that may train.
    test : (n,) True for rows that are scored.
    """

    sets: np.ndarray
    outer: np.ndarray
    inner: np.ndarray
    of_row: np.ndarray
    train: np.ndarray
    test: np.ndarray


def make_plan(
    years: np.ndarray, *, train: np.ndarray, holdout: np.ndarray | None = None, inner_folds: int | None = None
) -> Plan:
    """Plan nested leave-one-year-out, or one holdout with leave-one-year-out inside.

    Parameters
    ----------
    years : (n,) array
        Year of each row.
    train : (n,) bool array
        Rows that may train.
    holdout : (n,) bool array, optional
        Rows that are scored with fits of all training rows; by default every training year is left out in
        turn and scored.
    inner_folds : int, optional
        Blocks of consecutive years inside each training set; every year its own by default.

    Returns
    -------
    Plan

    Raises
    ------
    UsageError
        With fewer than eight training years.
    """
    train = np.asarray(train, bool)
    names = np.unique(years[train])
    if names.size < _LEAST_YEARS:
        raise UsageError(
            f"{names.size} training years", where="split", remedy=f"{_LEAST_YEARS} or more are needed"
        )
    sets: list[np.ndarray] = []
    known: dict[bytes, int] = {}

    def add(mask: np.ndarray) -> int:
        key = mask.tobytes()
        if key not in known:
            known[key] = len(sets)
            sets.append(mask)
        return known[key]

    left_out = [] if holdout is not None else list(names)
    outer, inner = [], []
    of_row = np.full(years.size, len(left_out))
    for k, year in enumerate([*left_out, None]):
        mask = train & (years != year) if year is not None else train.copy()
        if year is not None:
            of_row[train & (years == year)] = k
        outer.append(add(mask))
        rows = np.full(years.size, -1)
        inside = np.unique(years[mask])
        blocks = np.array_split(inside, min(inner_folds or inside.size, inside.size))
        for block in blocks:
            hidden = mask & np.isin(years, block)
            rows[hidden] = add(mask & ~hidden)
        inner.append(rows)
    return Plan(
        sets=np.array(sets, dtype=np.float64),
        outer=np.array(outer),
        inner=np.array(inner),
        of_row=of_row,
        train=train,
        test=train.copy() if holdout is None else np.asarray(holdout, bool),
    )
