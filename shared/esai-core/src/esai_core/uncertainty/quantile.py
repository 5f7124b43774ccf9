"""The one number that conformal prediction turns on: a quantile of past errors with room for the next one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from esai_core.errors import UsageError

__all__ = ["check_coverage", "conformal_quantile"]

_ROUNDING = 1e-9


def check_coverage(coverage: float) -> float:
    """Return a nominal coverage, or refuse it.

    Raises
    ------
    UsageError
        If it is not between 0 and 1.
    """
    if not 0.0 < coverage < 1.0:
        raise UsageError(f"coverage = {coverage}", remedy="give a share between 0 and 1, such as 0.9")
    return float(coverage)


def conformal_quantile(
    scores: ArrayLike, *, coverage: float, blocks: ArrayLike | None = None, strict: bool = False
) -> NDArray[np.float64]:
    r"""Give the smallest score that a new score stays below with probability `coverage`.

    Without blocks, the :math:`\lceil (n + 1)\,c \rceil`-th smallest of `n` exchangeable scores (Vovk et al.,
    2005; Lei et al., 2018, JASA, eq. 2.2): the place of the new score among them is uniform.

    With blocks the scores of one block are alike, and `n` of them are worth fewer. By default the rank is
    corrected for their effective number,

    .. math:: n_e = n / (1 + (m_0 - 1)\,\rho), \qquad K \le n_e \le n,

    with the mean block size :math:`m_0` and the intraclass correlation :math:`\rho` of "above the plain
    quantile" (analysis of variance, Donner, 1986). With `strict` every block weighs the same and the new
    block counts as one more,

    .. math:: \sum_k \frac{1}{(K + 1)\,n_k} \sum_i \mathbf 1(s_{ki} \le q) \ge c

    which covers a new block with at least `coverage` however its scores hang together (Dunn et al., 2023,
    JASA, section 3), and more than that where they do not.

    Parameters
    ----------
    scores : array (n, ...)
        Cases on the first axis; every column of the others is calibrated by itself. NaN is left out.
    coverage : float
        Between 0 and 1.
    blocks : array (n,), optional
        Label of the block that each case belongs to.
    strict : bool
        Guarantee the coverage of a new block (needs at least ``coverage / (1 - coverage)`` blocks).

    Returns
    -------
    array (...), float64
        NaN where a column has no score, infinite where it has too few for this coverage.

    Raises
    ------
    UsageError
        If no column has enough scores (or blocks), or the sizes do not fit.
    """
    check_coverage(coverage)
    values = np.asarray(scores, np.float64)
    if values.ndim == 0 or values.shape[0] == 0:
        raise UsageError("no scores to calibrate on")
    shape, flat = values.shape[1:], values.reshape(len(values), -1)
    member = None if blocks is None else _membership(blocks, len(values))
    if strict and member is None:
        raise UsageError("strict calibration without blocks", remedy="give the block of each case")
    there = ~np.isnan(flat)
    count = there.sum(0)
    if member is None:
        quantile = _order_statistic(flat, count, coverage)
        if count.any() and not np.isfinite(quantile).any():
            _refuse(coverage, float(count.max()), "cases")
        return np.where(count > 0, quantile, np.nan).reshape(shape)
    if strict:
        sizes = member @ there
        mass = (sizes > 0).sum(0).astype(np.float64)
        weights = (member.T @ (1.0 / np.maximum(sizes, 1))) * there / np.maximum(mass, 1)
    else:
        weights, mass = there / np.maximum(count, 1), count.astype(np.float64)
        plain = _lowest_reaching(flat, weights, np.full(count.shape, coverage))
        mass = _effective_number(flat > plain, there, member)
    quantile = _lowest_reaching(flat, weights, _level(coverage, mass))
    if count.any() and not np.isfinite(quantile).any():
        _refuse(coverage, float(mass.max()), "blocks")
    return np.where(count > 0, quantile, np.nan).reshape(shape)


def _order_statistic(
    values: NDArray[np.float64], count: NDArray[np.int64], coverage: float
) -> NDArray[np.float64]:
    """Give the ``ceil((n + 1) c)``-th smallest value of each column; infinite where there is none."""
    rank = np.ceil((count + 1) * coverage - _ROUNDING).astype(np.int64)
    ordered = np.sort(values, axis=0)  # NaN last
    found = np.take_along_axis(ordered, np.clip(rank - 1, 0, len(ordered) - 1)[None], 0)[0]
    return np.where(rank <= count, found, np.inf)


def _level(coverage: float, mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the scores that must lie below: with room for the new one, which may lie anywhere."""
    return coverage * (mass + 1.0) / np.maximum(mass, _ROUNDING)


def _lowest_reaching(
    values: NDArray[np.float64], weights: NDArray[np.float64], level: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find per column the lowest value up to which the weights sum to `level`; infinite where none does."""
    order = np.argsort(values, axis=0)  # NaN last; their weight is 0
    reached = np.cumsum(np.take_along_axis(weights, order, 0), axis=0) >= level - _ROUNDING
    first = np.take_along_axis(order, reached.argmax(0)[None], 0)
    found = np.take_along_axis(values, first, 0)[0]
    return np.where(reached.any(0), found, np.inf)


def _membership(blocks: ArrayLike, n: int) -> Any:
    """Give a sparse matrix (block, case) of ones: a full one would take blocks times cases."""
    labels = np.asarray(blocks)
    if labels.shape != (n,):
        raise UsageError(
            f"block labels of shape {labels.shape}", remedy=f"give one label for each of {n} cases"
        )
    names, codes = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise UsageError("all cases in one block", remedy="give at least two blocks")
    return sparse.csr_array((np.ones(n), (codes, np.arange(n))), (len(names), n))


def _effective_number(above: NDArray[np.bool_], there: NDArray[np.bool_], member: Any) -> NDArray[np.float64]:
    """Count the independent cases that are worth as much, by the intraclass correlation of `above`."""
    sizes = member @ there
    n, blocks = sizes.sum(0), (sizes > 0).sum(0)
    share = (member @ (above & there)) / np.maximum(sizes, 1)
    overall = (sizes * share).sum(0) / np.maximum(n, 1)
    between = (sizes * (share - overall) ** 2).sum(0) / np.maximum(blocks - 1, 1)
    within = (sizes * share * (1 - share)).sum(0) / np.maximum(n - blocks, 1)
    size = (n - (sizes**2).sum(0) / np.maximum(n, 1)) / np.maximum(blocks - 1, 1)
    spread = between + (size - 1) * within
    alike = np.divide(between - within, spread, out=np.zeros_like(spread), where=spread > 0).clip(0, 1)
    return np.clip(n / (1 + np.maximum(size - 1, 0) * alike), blocks, n)


def _refuse(coverage: float, have: float, what: str) -> None:
    needed = int(np.ceil(coverage / (1 - coverage) - _ROUNDING))
    raise UsageError(
        f"about {have:.0f} independent {what} cannot calibrate a coverage of {coverage:g}",
        remedy=f"give at least {needed}, or ask for a lower coverage",
    )
