"""PCMCI: select the parents of each series, then test every link given the parents of both ends."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from esai_core.causality.independence import TESTS, Test
from esai_core.causality.links import Links
from esai_core.errors import InputError, UsageError, unknown

__all__ = ["pcmci"]

Lagged = tuple[int, int]  # (series, lag)


def pcmci(
    data: Any,
    *,
    longest: int,
    names: Sequence[str] | None = None,
    test: str = "linear",
    selection: float = 0.2,
    targets: Sequence[str] | None = None,
) -> Links:
    r"""Find lagged causal links between series.

    1. For each series `j`, the candidates :math:`X^i_{t-\tau}` are tested given the `p` strongest others,
       p = 0, 1, ...; those that are independent at level `selection` are dropped (PC1: algorithm S1).
    2. Every link is tested given the parents of both its ends (momentary conditional independence, eq. 4):

       .. math:: X^i_{t-\tau} \perp X^j_t \mid P(X^j_t) \setminus \{X^i_{t-\tau}\},\ P(X^i_{t-\tau})

       which keeps the false positives of autocorrelated series at their level.
    3. p-values of links between different series are adjusted for their number (Benjamini & Hochberg).

    After Runge et al. (2019, Science Advances 5, eaau4996). Remove the seasonal cycle and the trend first: a
    common cycle is a common driver that is not among the series.

    Parameters
    ----------
    data : DataFrame or array (time, series)
        Finite, evenly spaced in time.
    longest : int
        Largest lag.
    names : sequence of str, optional
        Series; those of the DataFrame by default.
    test : {"linear", "kernel"}
        Partial correlation, or `kernel_independence` (seconds to minutes: n^3 per test).
    selection : float
        Level of step 1; larger keeps more conditions.
    targets : sequence of str, optional
        Test links into these alone; parents are selected for all series, as step 2 needs them.

    Returns
    -------
    Links

    Raises
    ------
    UsageError
        For an unknown test, or settings that do not fit.
    InputError
        If values are missing, constant, or too few.
    """
    if test not in TESTS:
        raise unknown("test", test, TESTS)
    if longest < 1 or not 0 < selection < 1:
        raise UsageError(
            f"longest = {longest}, selection = {selection}", remedy="give 1 or more, and a level"
        )
    labels, values = _series(data, names, longest)
    wanted = _positions(labels, targets)
    count = len(labels)
    lags = _Lags(values, longest)
    parents = [_select(lags, j, TESTS[test], selection) for j in range(count)]
    statistic, p = (np.full((count, count, longest), fill) for fill in (0.0, 1.0))
    for i, j, lag in itertools.product(range(count), wanted, range(1, longest + 1)):
        given = [one for one in parents[j] if one != (i, lag)]
        given += [(k, tau + lag) for k, tau in parents[i] if (k, tau + lag) not in given]
        statistic[i, j, lag - 1], p[i, j, lag - 1] = TESTS[test](
            lags.get((i, lag)), lags.get((j, 0)), lags.stack(given)
        )
    return Links(tuple(labels), statistic, p, _adjusted(p, wanted))


class _Lags:
    """Lagged columns on the times that all conditions of all tests have: from twice the longest lag on."""

    def __init__(self, values: NDArray[np.float64], longest: int) -> None:
        self.values, self.longest = values, longest

    def get(self, column: Lagged) -> NDArray[np.float64]:
        series, lag = column
        return self.values[2 * self.longest - lag : len(self.values) - lag, series]

    def stack(self, columns: Sequence[Lagged]) -> NDArray[np.float64]:
        rows = len(self.values) - 2 * self.longest
        return np.stack([self.get(one) for one in columns], axis=1) if columns else np.empty((rows, 0))


def _series(data: Any, names: Sequence[str] | None, longest: int) -> tuple[list[str], NDArray[np.float64]]:
    labels = list(map(str, data.columns)) if names is None and hasattr(data, "columns") else list(names or ())
    values = np.asarray(data, np.float64)
    if values.ndim != 2 or len(labels) != values.shape[1] or len(set(labels)) != len(labels):
        raise UsageError(f"{len(labels)} names for data of shape {values.shape}")
    missing = [label for label, column in zip(labels, values.T, strict=True) if not np.isfinite(column).all()]
    if missing:
        raise InputError(
            "missing values", where=", ".join(missing), remedy="cut to the common period, fill the rest"
        )
    still = [label for label, column in zip(labels, values.T, strict=True) if np.ptp(column) == 0]
    if still:
        raise InputError("a series that never changes", where=", ".join(still), remedy="leave it out")
    if len(values) - 2 * longest < 10:
        raise InputError(
            f"{len(values)} times for lags up to {longest}", remedy="give longer series or fewer lags"
        )
    return labels, (values - values.mean(0)) / values.std(0)


def _positions(labels: list[str], targets: Sequence[str] | None) -> list[int]:
    if targets is None:
        return list(range(len(labels)))
    for target in targets:
        if target not in labels:
            raise unknown("series", target, labels)
    return [labels.index(target) for target in targets]


def _select(lags: _Lags, target: int, test: Test, level: float) -> list[Lagged]:
    """Select the parents of a series, strongest first (PC1: one set of conditions per size)."""
    here = lags.get((target, 0))
    kept: list[Lagged] = list(itertools.product(range(lags.values.shape[1]), range(1, lags.longest + 1)))
    weakest = dict.fromkeys(kept, np.inf)
    size = 0
    while size < len(kept) or size == 0:
        dropped = []
        for one in kept:
            given = [other for other in kept if other != one][:size]
            if len(given) < size:
                continue
            statistic, p = test(lags.get(one), here, lags.stack(given))
            weakest[one] = min(weakest[one], abs(statistic))
            if p > level:
                dropped.append(one)
        kept = sorted((one for one in kept if one not in dropped), key=lambda one: -weakest[one])
        size += 1
    return kept


def _adjusted(p: NDArray[np.float64], wanted: Sequence[int]) -> NDArray[np.float64]:
    """Adjust the p-values of links between different series; those of a series with itself by themselves."""
    q = np.ones_like(p)
    into = np.zeros(p.shape, bool)
    into[:, wanted] = True
    own = np.broadcast_to(np.eye(len(p), dtype=bool)[..., None], p.shape)
    for part in (into & own, into & ~own):
        if part.any():
            q[part] = stats.false_discovery_control(p[part])
    return q
