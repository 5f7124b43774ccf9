"""How sure a score, or a difference of scores, is: block bootstrap, paired test, false discovery rate.

Neighbouring starts share weather, so that whole blocks (years, winters) are drawn or compared, never cases:
`blocks` gives the block of each case along `dim`, as `esai_core.splits.year_blocks` and `season_blocks` do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from esai_core.align import each
from esai_core.errors import UsageError
from esai_core.verify._average import over


def _block_codes(size: int, blocks: ArrayLike | int | None) -> tuple[np.ndarray, int]:
    """Return the number of the block of each case, and how many blocks there are."""
    if blocks is None:
        codes = np.arange(size)
    elif isinstance(blocks, int):
        if blocks < 1:
            raise UsageError(f"a block of {blocks} cases", remedy="give a length of 1 or more")
        codes = np.arange(size) // blocks
    else:
        labels = np.asarray(blocks)
        if labels.shape != (size,):
            raise UsageError(f"{labels.size} block labels for {size} cases", remedy="give one for each case")
        codes = np.unique(labels, return_inverse=True)[1]
    number = int(codes.max()) + 1 if size else 0
    if number < 2:
        raise UsageError(f"{number} blocks: an interval needs two or more", remedy="give shorter blocks")
    return codes, number


def _block_sums(
    cases: xr.DataArray, dim: str, codes: np.ndarray, number: int, weights: xr.DataArray | None
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the sums of cases, and of their weights, in each block along the dimension `block`."""
    valid = cases.notnull()
    weight = valid.astype(np.float64) if weights is None else valid * weights
    member = xr.DataArray(np.eye(number)[codes], dims=(dim, "block"))
    return xr.dot(cases.fillna(0.0) * weight, member, dim=dim), xr.dot(weight, member, dim=dim)


def block_bootstrap(
    cases: xr.DataArray | xr.Dataset,
    *,
    dim: str,
    blocks: ArrayLike | int | None = None,
    combine: Callable[[xr.Dataset], xr.DataArray] | None = None,
    weights: xr.DataArray | None = None,
    samples: int = 1000,
    level: float = 0.9,
    seed: int = 0,
) -> xr.Dataset:
    """Return a mean over `dim`, or a function of such means, with its percentile interval.

    Blocks are drawn with replacement, the same draws for all variables: so `combine` may be a skill score or
    a difference, whose noise is then that of paired cases (Kuensch 1989; Wilks 2019, section 5.3.5).

    Parameters
    ----------
    cases : DataArray or Dataset
        Scores of the cases along `dim`, for example `crps(..., dim=("latitude", "longitude"))`. In a Dataset,
        cases that are NaN in one variable are left out of all.
    dim : str
        Dimension of the cases.
    blocks : array (n,), int, optional
        Block label of each case, or a number of neighbouring cases; each case its own block by default.
    combine : callable, optional
        From a Dataset of means (with more dimensions) to a DataArray, for example
        ``lambda m: 1 - m.model / m.reference``. Needs a Dataset.
    weights : DataArray, optional
        Weights of the cases.
    samples, level, seed : int, float, int
        Number of draws, level of the interval, seed.

    Returns
    -------
    Dataset
        `estimate`, `lower` and `upper` on the other dimensions.

    Raises
    ------
    UsageError
        If there are fewer than two blocks or the arguments do not fit together.
    """
    if not 0 < level < 1 or samples < 1:
        raise UsageError(
            f"a bootstrap of {samples} samples at level {level}", remedy="samples >= 1, 0 < level < 1"
        )
    if isinstance(cases, xr.DataArray) == (combine is not None):
        raise UsageError("combine goes with a Dataset of cases, and a Dataset needs it")
    together = cases.to_dataset(name="cases") if isinstance(cases, xr.DataArray) else cases
    codes, number = _block_codes(together.sizes[dim], blocks)
    valid = xr.concat([v.notnull() for v in together.values()], "variable").all("variable")
    draws = np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), size=samples)
    drawn = xr.DataArray(np.vstack([np.ones(number), draws]), dims=("sample", "block"))
    means = {}
    for name, values in together.items():
        total, size = _block_sums(values.where(valid), dim, codes, number, weights)
        size = xr.dot(drawn, size, dim="block")
        means[name] = xr.dot(drawn, total, dim="block") / size.where(size > 0)
    result = means["cases"] if combine is None else combine(xr.Dataset(means))
    tails = [(1 - level) / 2, (1 + level) / 2]
    drawn_results = result.isel(sample=slice(1, None))
    if drawn_results.chunks is not None:
        drawn_results = drawn_results.chunk(sample=-1)
    known = drawn_results.notnull().all("sample")
    bounds = drawn_results.fillna(0.0).quantile(tails, dim="sample").where(known)
    return xr.Dataset(
        {
            "estimate": result.isel(sample=0),
            "lower": bounds.isel(quantile=0, drop=True),
            "upper": bounds.isel(quantile=1, drop=True),
        }
    )


def paired_test(
    first: xr.DataArray,
    second: xr.DataArray,
    *,
    dim: str,
    blocks: ArrayLike | int | None = None,
) -> xr.Dataset:
    """Test whether two forecasts of the same cases have the same mean score.

    The test of Diebold and Mariano (1995) with the variance of the mean difference taken from blocks that may
    be called independent: with d_b the mean difference of block b, weighted by its number n_b of cases,
    t = d / sqrt(B / (B - 1) * sum n_b^2 (d_b - d)^2 / N^2), on B - 1 degrees of freedom, two-sided.

    Parameters
    ----------
    first, second : DataArray
        Scores of the cases along `dim`; a case that is NaN in one is left out.
    dim : str
        Dimension of the cases.
    blocks : array (n,), int, optional
        As in `block_bootstrap`.

    Returns
    -------
    Dataset
        `difference` (first minus second), `statistic` and `p_value`; NaN where fewer than two blocks have
        cases or no difference varies.
    """
    from scipy.stats import t as student

    difference = first - second
    over(difference, [dim])
    codes, number = _block_codes(difference.sizes[dim], blocks)
    total, size = _block_sums(difference, dim, codes, number, None)
    cases = size.sum("block")
    average = total.sum("block") / cases.where(cases > 0)
    used = (size > 0).sum("block")
    departure = ((total - average * size) ** 2).sum("block")
    variance = used / (used - 1).where(used > 1) * departure / cases.where(cases > 0) ** 2
    statistic = average / variance.where(variance > 0) ** 0.5
    freedom = (used - 1).where(used > 1)
    p_value = each(lambda value, df: 2 * student.sf(np.abs(value), df), statistic, freedom)
    return xr.Dataset({"difference": average, "statistic": statistic, "p_value": p_value})


def false_discovery(p_values: xr.DataArray, *, alpha: float = 0.1) -> xr.DataArray:
    """Return where the null hypothesis is rejected with a false discovery rate of `alpha` over the field.

    Benjamini and Hochberg (1995): reject all p <= p_(i) with the largest i for which p_(i) <= i alpha / n.
    Wilks (2016) finds it robust to the spatial correlation of fields, and any rejection at `alpha` to be a
    test of the field as a whole at that level; alpha may be twice the wanted level there.

    Parameters
    ----------
    p_values : DataArray
        Any shape; NaN (no test) is left out and never rejected.
    alpha : float
        False discovery rate, in (0, 1).

    Returns
    -------
    DataArray
        bool, of the shape of `p_values`.

    Raises
    ------
    UsageError
        If alpha or a p-value is outside its range.
    """
    values = np.asarray(p_values.values, dtype=np.float64)
    known = np.sort(values[~np.isnan(values)])
    if not 0 < alpha < 1 or (len(known) and (known[0] < 0 or known[-1] > 1)):
        raise UsageError(f"alpha {alpha} and p-values must be in (0, 1) and [0, 1]")
    passed = np.flatnonzero(known <= alpha * np.arange(1, len(known) + 1) / max(len(known), 1))
    cut = known[passed[-1]] if len(passed) else -1.0
    return p_values.copy(data=values <= cut)
