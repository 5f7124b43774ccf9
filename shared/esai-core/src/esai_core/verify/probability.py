"""Scores of forecast probabilities: of an event (Brier) and of ordered categories (RPS).

Probabilities that do not sum to 1, cases with some categories missing and category labels that differ between
forecast and observation are refused: each of them gives a number, and a wrong one, when let through.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.align import aligned, as_array, each
from esai_core.errors import InputError, UsageError
from esai_core.verify._average import Dims, mean

_SUM_TOLERANCE = 1e-5  # probabilities in single precision


def brier(
    probability: xr.DataArray,
    event: xr.DataArray,
    *,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the Brier score, mean (p - o)^2; perfect is 0.

    Parameters
    ----------
    probability : DataArray
        Forecast probability in [0, 1]; NaN is missing. From an ensemble: `exceedance`.
    event : DataArray
        1 or True where the event happened, 0 or False where not, NaN where it is not known.
    dim, weights
        As in `bias`.

    Raises
    ------
    InputError
        If coordinates differ, a probability is outside [0, 1], or an event is neither 0 nor 1.
    """
    probability, event = as_array(probability, "probability"), as_array(event, "event")
    event = aligned(probability, event, names=("probability", "event"), units=False)
    return mean(each(_brier_block, probability, event), dim, weights)


def _brier_block(probability: np.ndarray, event: np.ndarray) -> np.ndarray:
    return (checked_probability(probability) - checked_event(event)) ** 2


def checked_probability(probability: np.ndarray) -> np.ndarray:
    """Return probabilities as float64; refuse values outside [0, 1] by more than rounding."""
    probability = np.asarray(probability, dtype=np.float64)
    wrong = (probability < -_SUM_TOLERANCE) | (probability > 1 + _SUM_TOLERANCE)
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} probabilities are outside [0, 1], such as {probability[wrong][0]:.6g}",
            remedy="give fractions, not percent",
        )
    return probability


def checked_event(event: np.ndarray) -> np.ndarray:
    """Return events as float64 0, 1 or NaN; refuse any other value."""
    event = np.asarray(event, dtype=np.float64)
    wrong = ~((event == 0) | (event == 1) | np.isnan(event))
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} events are neither 0 nor 1, such as {event[wrong][0]:.6g}",
            remedy="compare with a threshold first: exceeds(values, threshold)",
        )
    return event


def exceeds(values: xr.DataArray, threshold: float | xr.DataArray) -> xr.DataArray:
    """Return 1 where `values` > `threshold`, 0 where not and NaN where either is missing (float64)."""
    values = as_array(values, "values")
    known = values.notnull()
    if isinstance(threshold, xr.DataArray):
        threshold = aligned(values, threshold, names=("values", "threshold"))
        known = known & threshold.notnull()
    return (values > threshold).astype(np.float64).where(known)


def exceedance(
    forecast: xr.DataArray, threshold: float | xr.DataArray, *, member: str = "number"
) -> xr.DataArray:
    """Return the fraction of members above `threshold`; NaN members are left out, NaN where none is left."""
    above = exceeds(forecast, threshold)
    number = above.notnull().sum(member)
    return above.sum(member, skipna=True) / number.where(number > 0)


def category_frequencies(
    codes: xr.DataArray,
    labels: list[str],
    *,
    member: str = "number",
    category: str = "category",
) -> xr.DataArray:
    """Return the fraction of members in each category, with the coordinate `members`, their number.

    Parameters
    ----------
    codes : DataArray
        Category of each member, 0 to K-1, NaN where missing: what `QuantileCategories.transform` gives.
    labels : list of str
        The K labels, in order.
    member, category : str
        Names of the dimension to count over and of the new, first one.

    Raises
    ------
    InputError
        If a code is not 0 to K-1 or NaN.
    """
    codes = each(checked_codes, codes, size=len(labels))
    number = codes.notnull().sum(member)
    index = xr.DataArray(np.arange(len(labels)), dims=category, coords={category: labels})
    counts = (codes == index).sum(member)
    fractions = (counts / number.where(number > 0)).transpose(category, ...)
    return fractions.assign_coords(members=number)


def checked_codes(codes: np.ndarray, *, size: int) -> np.ndarray:
    """Return category codes as float64; refuse what is not 0 to size-1 or NaN."""
    codes = np.asarray(codes, dtype=np.float64)
    wrong = ~(((codes >= 0) & (codes < size) & (codes == np.floor(codes))) | np.isnan(codes))
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} category codes are not 0 to {size - 1}, such as {codes[wrong][0]:.6g}"
        )
    return codes


def rps(
    probabilities: xr.DataArray,
    observed: xr.DataArray,
    *,
    category: str = "category",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the ranked probability score, sum over k of (F_k - O_k)^2; perfect is 0.

    F and O are the cumulative probabilities (Wilks 2019, section 9.4.9). The sum is not divided by K - 1:
    with terciles, climatology scores 5/9, 2/9 and 5/9 when the lower, middle and upper category is observed.

    Parameters
    ----------
    probabilities : DataArray
        With the dimension `category` in ascending order. A case is missing where all its categories are NaN.
    observed : DataArray
        Either 0/1 (or probabilities) with the same `category` labels in the same order, or, without that
        dimension, the category code 0 to K-1; NaN is missing.
    category : str
        Dimension of the K categories.
    dim, weights
        As in `bias`, on the other dimensions.

    Raises
    ------
    InputError
        If labels or other coordinates differ, probabilities do not sum to 1 or are negative, or only some
        categories of a case are NaN.
    UsageError
        If `probabilities` has no dimension `category`.
    """
    return mean(rps_cases(probabilities, observed, category=category), dim, weights)


def rps_fair(
    probabilities: xr.DataArray,
    observed: xr.DataArray,
    *,
    members: float | xr.DataArray | None = None,
    category: str = "category",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the fair RPS: what fractions of an infinite ensemble of the same distribution would score.

    sum over k of (F_k - O_k)^2 - F_k (1 - F_k) / (m - 1) (Ferro 2014, eq. 7, summed over thresholds).

    Parameters
    ----------
    probabilities, observed, category, dim, weights
        As in `rps`; probabilities are fractions of members.
    members : float or DataArray, optional
        Number m of members behind each case; by default the coordinate `members` of `probabilities`, as
        `category_frequencies` gives it. Infinite for the probabilities of a statistical model. NaN for m = 1.

    Raises
    ------
    InputError
        As `rps`.
    UsageError
        If the number of members is not known.
    """
    if members is None:
        if "members" not in probabilities.coords:
            raise UsageError("rps_fair needs the number of members", remedy="give members=")
        members = probabilities.coords["members"]
    cases = rps_cases(probabilities, observed, category=category, members=members)
    return mean(cases, dim, weights)


def rps_cases(
    probabilities: xr.DataArray,
    observed: xr.DataArray,
    *,
    category: str = "category",
    members: float | xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the (with `members`: fair) RPS of each case; see `rps`."""
    probabilities, observed = as_array(probabilities, "probabilities"), as_array(observed, "observed")
    if category not in probabilities.dims:
        raise UsageError(
            f"the probabilities have no dimension {category!r}",
            where=", ".join(map(str, probabilities.dims)),
            remedy="name it: category='...'",
        )
    if probabilities.chunks is not None:
        probabilities = probabilities.chunk({category: -1})
    names = ("probabilities", "observed")
    if category in observed.dims:
        _same_labels(probabilities, observed, category)
        observed = aligned(probabilities, observed, names=names, units=False)
        observed = observed if observed.chunks is None else observed.chunk({category: -1})
        core: list = [category]
    else:
        case = probabilities.isel({category: 0}, drop=True)
        observed = aligned(case, observed, names=names, units=False)
        core = []
    if members is None:
        members = np.inf
    return xr.apply_ufunc(
        _rps_block,
        probabilities.drop_vars("members", errors="ignore"),
        observed,
        members,
        input_core_dims=[[category], core, []],
        kwargs={"codes": not core},
        dask="parallelized",
        output_dtypes=[np.float64],
        join="exact",
    )


def _same_labels(probabilities: xr.DataArray, observed: xr.DataArray, category: str) -> None:
    ours, theirs = (np.asarray(a[category]).tolist() for a in (probabilities, observed))
    if ours != theirs:
        raise InputError(
            f"category labels differ: {ours} in the forecast, {theirs} in the observations",
            where=str(category),
            remedy="give both the same labels in the same, ascending order",
        )


def _checked_sums(values: np.ndarray, name: str) -> np.ndarray:
    """Return (..., K) probabilities as float64, refused unless each case sums to 1 or is all NaN."""
    values = np.asarray(values, dtype=np.float64)
    missing = np.isnan(values)
    none = missing.all(axis=-1)
    partial = missing.any(axis=-1) & ~none
    if partial.any():
        raise InputError(
            f"{int(partial.sum())} cases have some categories NaN and others not",
            where=name,
            remedy="set all categories of a missing case to NaN",
        )
    total = values.sum(axis=-1)
    wrong = ~none & ((np.abs(total - 1) > _SUM_TOLERANCE) | (values < -_SUM_TOLERANCE).any(axis=-1))
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} cases are no probabilities: one sums to {total[wrong][0]:.6g} "
            f"and has {values[wrong][0].min():.6g} as least value",
            where=name,
            remedy="give values >= 0 that sum to 1",
        )
    return values


def _rps_block(
    probabilities: np.ndarray, observed: np.ndarray, members: np.ndarray | float, *, codes: bool
) -> np.ndarray:
    probabilities = _checked_sums(probabilities, "probabilities")
    size = probabilities.shape[-1]
    if codes:
        truth = checked_codes(observed, size=size)
        missing = np.isnan(truth)
    else:
        truth = _checked_sums(observed, "observed")
        missing = np.isnan(truth[..., 0])
    count = np.asarray(members, dtype=np.float64)
    correction = 1 / np.where(count > 1, count - 1, np.nan)
    score = np.zeros(np.broadcast_shapes(probabilities.shape[:-1], missing.shape, count.shape))
    below, happened = np.zeros(probabilities.shape[:-1]), np.zeros(missing.shape)
    for k in range(size - 1):
        below = below + probabilities[..., k]
        happened = (truth <= k).astype(np.float64) if codes else happened + truth[..., k]
        score += (below - happened) ** 2 - below * (1 - below) * correction
    return np.where(missing, np.nan, score)


def rpss(
    probabilities: xr.DataArray,
    observed: xr.DataArray,
    *,
    reference: xr.DataArray | None = None,
    category: str = "category",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the ranked probability skill score 1 - mean RPS / mean RPS of the reference; perfect is 1.

    Both means are over `dim` and over the cases that both have.

    Parameters
    ----------
    probabilities, observed, category, dim, weights
        As in `rps`.
    reference : DataArray, optional
        Reference probabilities, on any of the dimensions of `probabilities`; 1/K each by default.

    Raises
    ------
    InputError, UsageError
        As `rps`.
    """
    return _rpss(probabilities, observed, reference, None, category, dim, weights)


def rpss_fair(
    probabilities: xr.DataArray,
    observed: xr.DataArray,
    *,
    reference: xr.DataArray | None = None,
    members: float | xr.DataArray | None = None,
    category: str = "category",
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return 1 - mean fair RPS / mean RPS of the reference (not a sample, so not corrected); perfect is 1.

    Parameters and errors as in `rpss`; `members` as in `rps_fair`.
    """
    if members is None:
        members = probabilities.coords.get("members", None)
    if members is None:
        raise UsageError("rpss_fair needs the number of members", remedy="give members=")
    return _rpss(probabilities, observed, reference, members, category, dim, weights)


def _rpss(
    probabilities: xr.DataArray,
    observed: xr.DataArray,
    reference: xr.DataArray | None,
    members: float | xr.DataArray | None,
    category: str,
    dim: Dims,
    weights: xr.DataArray | None,
) -> xr.DataArray:
    cases = rps_cases(probabilities, observed, category=category, members=members)
    if reference is None:
        expected = xr.full_like(probabilities, 1 / probabilities.sizes[category], dtype=np.float64)
    else:
        _same_labels(probabilities, reference, category)
        expected = aligned(
            probabilities, reference, names=("probabilities", "reference"), units=False
        ).broadcast_like(probabilities)
    worth = rps_cases(expected, observed, category=category)
    valid = cases.notnull() & worth.notnull()
    base = mean(worth.where(valid), dim, weights)
    return 1 - mean(cases.where(valid), dim, weights) / base.where(base > 0)
