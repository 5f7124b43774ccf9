"""Score every method on the common sample, ready for `metrics.json`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from esai_core.align import aligned
from esai_core.errors import UsageError, nearest
from esai_core.verify._entries import Entries, Method, Sample, bare, common_sample, entry
from esai_core.verify.registry import get_score

# Dimensions of cases stacked by the group they belong to.
_GROUP, _WITHIN = "_group", "_within"


def score_table(
    forecasts: Mapping[str, xr.DataArray],
    observed: xr.DataArray,
    *,
    scores: Sequence[str],
    by: Iterable[str] = (),
    weights: xr.DataArray | None = None,
    member: str = "number",
    category: str = "category",
    climatology: xr.DataArray | None = None,
    reference: str | None = None,
    threshold: float | None = None,
    family: str = "gaussian",
) -> dict[str, Any]:
    """Return the scores of every method on the cases that all of them, and the observations, have.

    Parameters
    ----------
    forecasts : mapping of str to DataArray
        Method to forecast: an ensemble (with the dimension `member`), probabilities of categories (with
        `category`), or single values. Same coordinates and units; numbers of members may differ.
    observed : DataArray
        Observed values, or categories (with the dimension `category`, or codes), on the cases of the
        forecasts.
    scores : sequence of str
        Names in `SCORES`. Of an ensemble, scores of a single value are those of its mean.
    by : iterable of str
        Dimensions, or coordinates along one dimension (such as the month of the start), for each value of
        which the table is repeated under ``"by_<name>"``.
    weights : DataArray, optional
        Weights of the cases, for example `grid.area_weights`.
    climatology : DataArray, optional
        Reference climatology of `acc`.
    reference : str, optional
        Method that `crpss`, `rpss` and `d2` compare with. Without it rpss compares with equal probabilities
        and d2 with the mean of the observed sample.
    threshold : float, optional
        Event of `brier`, `auc` and the scores of contingency tables: a value above it.
    family : str
        Distribution for `d2`.

    Returns
    -------
    dict
        ``{"cases": n, "scores": {method: {score: value}}, "by_lead": {"1": {...}}}``, the inner one like
        ``"scores"``. A score
        that is not defined is None: `crps_fair` and `spread_skill` of a single value, or an empty group.

    Raises
    ------
    UsageError
        If a score or method is not known, or an argument that a score needs was not given.
    InputError
        If coordinates, units or category labels differ, or no case is common to all.
    """
    wanted = [get_score(name) for name in scores]
    methods = {name: Method(name, values, member, category) for name, values in forecasts.items()}
    if not methods:
        raise UsageError("no forecast to score")
    options = {
        "climatology": climatology, "reference": reference, "threshold": threshold, "family": family
    }  # fmt: skip
    for score in wanted:
        lacking = [need for need in score.needs if options[need] is None]
        if lacking:
            raise UsageError(f"the score {score.name} needs {', '.join(lacking)}")
        for name, method in methods.items():
            if (score.kind == "categories") != (method.form == "categories"):
                raise UsageError(f"the score {score.name} is not one of {method.form} forecasts", where=name)
    if reference is not None and reference not in methods:
        raise UsageError(f"the reference {reference!r} is no method", remedy=f"one of {', '.join(methods)}")
    sample = common_sample(methods, observed, climatology, weights, category)
    if climatology is not None:
        options["climatology"] = aligned(
            sample.valid, climatology, names=("observed", "climatology"), units=False
        )
    entries = {
        name: {score.name: entry(score, method, methods, sample, options) for score in wanted}
        for name, method in methods.items()
    }
    entries = {
        name: {key: ([bare(field) for field in fields], make) for key, (fields, make) in row.items()}
        for name, row in entries.items()
    }
    lazy: dict[str, Any] = {
        "cases": sample.valid.sum(),
        "scores": _rows(entries, sample),
    }
    lazy |= {f"by_{name}": _groups(entries, name, sample) for name in by}
    return _numbers(lazy)


def _rows(entries: Entries, sample: Sample) -> dict[str, dict[str, xr.DataArray]]:
    return {
        method: {name: make(fields, None, sample.weights) for name, (fields, make) in row.items()}
        for method, row in entries.items()
    }


def _groups(entries: Entries, name: str, sample: Sample) -> dict[str, dict[str, dict[str, xr.DataArray]]]:
    """Repeat the table for each value of a dimension, or of a coordinate along one, in one pass."""
    if name in sample.valid.dims:
        labels, along, inner = sample.valid[name].values, name, list(sample.valid.dims)
        pick = _same
        pick_weights = _same
    elif name in sample.valid.coords and sample.valid.coords[name].ndim == 1:
        (dim,) = sample.valid.coords[name].dims
        labels, codes = np.unique(sample.valid.coords[name].values, return_inverse=True)
        positions, there = _stacked(codes)
        along, inner = _GROUP, [_GROUP, _WITHIN, *(d for d in sample.valid.dims if d != dim)]

        def pick_weights(field: xr.DataArray) -> xr.DataArray:
            return field.isel({dim: positions}) if dim in field.dims else field

        def pick(field: xr.DataArray) -> xr.DataArray:
            return pick_weights(field).where(there) if dim in field.dims else field

    else:
        known = [str(c) for c in (*sample.valid.dims, *sample.valid.coords)]
        raise UsageError(f"cannot group by {name!r}", remedy=nearest(name, known))
    rest = [d for d in inner if d != along]
    weights = None if sample.weights is None else pick_weights(sample.weights)
    rows = {
        method: {name: make([pick(f) for f in fields], rest, weights) for name, (fields, make) in row.items()}
        for method, row in entries.items()
    }
    return {
        _label(value): {
            method: {name: values.isel({along: i}) for name, values in row.items()}
            for method, row in rows.items()
        }
        for i, value in enumerate(labels)
    }


def _same(field: xr.DataArray) -> xr.DataArray:
    return field


def _stacked(codes: np.ndarray) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the positions of each group as rows, filled up with 0, and where they are real."""
    order = np.argsort(codes, kind="stable")
    size = np.bincount(codes)
    there = np.arange(size.max()) < size[:, np.newaxis]
    positions = np.zeros(there.shape, dtype=np.intp)
    positions[there] = order
    return xr.DataArray(positions, dims=(_GROUP, _WITHIN)), xr.DataArray(there, dims=(_GROUP, _WITHIN))


def _label(value: Any) -> str:
    """Spell a coordinate value as a key of `metrics.json`: 1, 14d, 2003-01-01, name."""
    if isinstance(value, np.datetime64):
        return str(value.astype("datetime64[D]"))
    if isinstance(value, np.timedelta64):
        return f"{value / np.timedelta64(1, 'D'):g}d"
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return str(value)


def _numbers(table: dict[str, Any]) -> dict[str, Any]:
    """Compute the leaves of a nested dict together; NaN, which JSON lacks, becomes None."""
    leaves = xr.Dataset({str(i): leaf.variable for i, leaf in enumerate(_leaves(table))}).compute()
    values = iter(leaves.values())

    def finished(branch: Any) -> Any:
        if isinstance(branch, dict):
            return {key: finished(value) for key, value in branch.items()}
        number = next(values).item()
        return None if number != number else number

    return finished(table)


def _leaves(branch: Any) -> Iterator[xr.DataArray]:
    if isinstance(branch, dict):
        for value in branch.values():
            yield from _leaves(value)
    else:
        yield branch
