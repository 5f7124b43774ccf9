"""Score every method on the common sample, ready for `metrics.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from esai_core.align import aligned
from esai_core.errors import InputError, UsageError, nearest
from esai_core.verify._average import checked_weights, mean
from esai_core.verify.deterministic import error
from esai_core.verify.ensemble import crps, crps_fair, ensemble_moments, spread_skill_of
from esai_core.verify.probability import exceedance, exceeds, rps_cases
from esai_core.verify.registry import Score, get_score, skill_score


class _Method:
    """One method's forecast, and the fields that its scores are means of, each made once."""

    def __init__(self, name: str, forecast: xr.DataArray, member: str, category: str) -> None:
        self.name, self.forecast, self.member, self.category = name, forecast, member, category
        self._crps: dict[bool, xr.DataArray] = {}
        self.form = (
            "ensemble" if member in forecast.dims else "categories" if category in forecast.dims else "value"
        )

    @property
    def case(self) -> xr.DataArray:
        """The forecast without its members or categories: dimensions, coordinates and units of the cases."""
        core = {"ensemble": self.member, "categories": self.category}.get(self.form)
        return self.forecast if core is None else self.forecast.isel({core: 0}, drop=True)

    @cached_property
    def moments(self) -> xr.Dataset:
        if self.form == "ensemble":
            return ensemble_moments(self.forecast, member=self.member)
        there = self.forecast.notnull()
        nothing = xr.full_like(self.forecast, np.nan, dtype=np.float64)
        return xr.Dataset({"mean": self.forecast, "variance": nothing, "members": there.astype(np.float64)})

    @property
    def valid(self) -> xr.DataArray:
        if self.form == "categories":
            return self.forecast.notnull().all([self.category])
        return self.moments["mean"].notnull()

    @property
    def value(self) -> xr.DataArray:
        return self.moments["mean"]

    def crps(self, observed: xr.DataArray, *, fair: bool) -> xr.DataArray:
        if fair not in self._crps:
            if self.form == "ensemble":
                score = crps_fair if fair else crps
                self._crps[fair] = score(self.forecast, observed, member=self.member, dim=())
            else:
                absolute = abs(error(self.forecast, observed))
                self._crps[fair] = absolute * np.nan if fair else absolute
        return self._crps[fair]

    def above(self, threshold: float | xr.DataArray) -> xr.DataArray:
        if self.form == "ensemble":
            return exceedance(self.forecast, threshold, member=self.member)
        return exceeds(self.forecast, threshold)


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
    methods = {name: _Method(name, values, member, category) for name, values in forecasts.items()}
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
    sample = _common_sample(methods, observed, climatology, weights, category)
    entries = {
        name: {score.name: _entry(score, method, methods, sample, options) for score in wanted}
        for name, method in methods.items()
    }
    lazy: dict[str, Any] = {
        "cases": sample.valid.sum(),
        "scores": _rows(entries, lambda field: field, sample.weights),
    }
    lazy |= {f"by_{name}": _groups(entries, name, sample) for name in by}
    return _numbers(lazy)


class _Sample:
    """The observations on the common sample, its weights, and the fields that scores compare with."""

    def __init__(self, observed: xr.DataArray, valid: xr.DataArray, weights: xr.DataArray | None) -> None:
        self.valid, self.weights = valid, weights
        self.observed = observed.where(valid)


def _common_sample(
    methods: dict[str, _Method],
    observed: xr.DataArray,
    climatology: xr.DataArray | None,
    weights: xr.DataArray | None,
    category: str,
) -> _Sample:
    valid = observed.notnull()
    if category in observed.dims:
        valid = valid.all([category])
    for name, method in methods.items():
        method.forecast = aligned(
            observed.isel({category: 0}, drop=True) if category in observed.dims else observed,
            method.forecast,
            names=("observed", name),
            units=method.form != "categories",
            free=(method.member, method.category),
        )
        lacking = [str(dim) for dim in valid.dims if dim not in method.case.dims]
        if lacking:
            raise InputError(
                f"{name} lacks the dimension {', '.join(lacking)} of observed", remedy="broadcast it first"
            )
        valid = valid & method.valid
    if climatology is not None:
        valid = valid & aligned(valid, climatology, names=("observed", "climatology"), units=False).notnull()
    if valid.chunks is None and not bool(valid.any()):
        raise InputError(
            "no case is common to the observations and all forecasts",
            where=", ".join(methods),
            remedy="check NaN",
        )
    return _Sample(observed, valid, None if weights is None else checked_weights(valid, weights))


#: The fields of a score, and the function that makes the score of them, dimensions and weights.
_Entry = tuple[list[xr.DataArray], Callable[..., xr.DataArray]]


def _entry(
    score: Score, method: _Method, methods: dict[str, _Method], sample: _Sample, options: dict[str, Any]
) -> _Entry:
    base = methods.get(options["reference"])
    if score.kind == "value":
        return _value_entry(score, method, base, sample, options)
    if score.kind == "ensemble":
        return _ensemble_entry(score, method, base, sample)
    if score.kind == "categories":
        return _category_entry(score, method, base, sample)
    event = exceeds(sample.observed, options["threshold"])
    said = method.above(options["threshold"])
    if score.kind == "event":
        said = exceeds(method.value, options["threshold"])
    return [said, event], lambda fields, dim, weights: score.function(*fields, dim=dim, weights=weights)


def _value_entry(
    score: Score, method: _Method, base: _Method | None, sample: _Sample, options: dict[str, Any]
) -> _Entry:
    further: dict[str, xr.DataArray] = {}
    settings: dict[str, Any] = {}
    if score.name == "acc":
        further["climatology"] = options["climatology"]
    if score.name == "d2":
        settings["family"] = options["family"]
        if base is not None:
            further["reference"] = base.value
    names = list(further)

    def make(fields: list[xr.DataArray], dim: Any, weights: xr.DataArray | None) -> xr.DataArray:
        more = dict(zip(names, fields[2:], strict=True))
        return score.function(fields[0], fields[1], dim=dim, weights=weights, **more, **settings)

    return [method.value, sample.observed, *further.values()], make


def _mean_entry(cases: xr.DataArray, base: xr.DataArray | None) -> _Entry:
    """Make a score that is a mean of cases or, with a base, the skill of that mean against the base's."""
    if base is None:
        return [cases], lambda fields, dim, weights: mean(fields[0], dim, weights)
    return [cases, base], lambda fields, dim, weights: skill_score(
        mean(fields[0], dim, weights), mean(fields[1], dim, weights)
    )


def _ensemble_entry(score: Score, method: _Method, base: _Method | None, sample: _Sample) -> _Entry:
    if score.name in ("crps", "crps_fair", "crpss"):
        fair = score.name == "crps_fair"
        against = base.crps(sample.observed, fair=False) if base and score.name == "crpss" else None
        return _mean_entry(method.crps(sample.observed, fair=fair), against)
    moments = method.moments
    if score.name == "spread":
        variance = moments["variance"].where(sample.valid)
        return [variance], lambda fields, dim, weights: mean(fields[0], dim, weights) ** 0.5
    names = ("mean", "variance", "members")

    def make(fields: list[xr.DataArray], dim: Any, weights: xr.DataArray | None) -> xr.DataArray:
        return spread_skill_of(
            xr.Dataset(dict(zip(names, fields[:3], strict=True))), fields[3], dim=dim, weights=weights
        )

    return [*(moments[name] for name in names), sample.observed], make


def _category_entry(score: Score, method: _Method, base: _Method | None, sample: _Sample) -> _Entry:
    members = method.forecast.coords.get("members") if score.name in ("rps_fair", "rpss_fair") else None
    cases = rps_cases(method.forecast, sample.observed, category=method.category, members=members)
    if score.name in ("rps", "rps_fair"):
        return _mean_entry(cases, None)
    if base is None:
        size = method.forecast.sizes[method.category]
        expected = xr.full_like(method.forecast, 1 / size, dtype=np.float64)
    else:
        expected = base.forecast
    return _mean_entry(cases, rps_cases(expected, sample.observed, category=method.category))


def _rows(
    entries: dict[str, dict[str, _Entry]],
    pick: Callable[[xr.DataArray], xr.DataArray],
    weights: xr.DataArray | None,
) -> dict[str, dict[str, xr.DataArray]]:
    """Score the cases that `pick` selects from each field."""
    weights = None if weights is None else pick(weights)
    return {
        method: {name: make([pick(f) for f in fields], None, weights) for name, (fields, make) in row.items()}
        for method, row in entries.items()
    }


def _rows_along(
    entries: dict[str, dict[str, _Entry]], dim: str, sample: _Sample
) -> dict[str, dict[str, dict[str, xr.DataArray]]]:
    """Score the cases of each value along a dimension, all values in one pass."""
    rest = [d for d in sample.valid.dims if d != dim]
    rows = {
        method: {name: make(fields, rest, sample.weights) for name, (fields, make) in row.items()}
        for method, row in entries.items()
    }
    return {
        _label(value): {
            method: {name: values.isel({dim: i}, drop=True) for name, values in row.items()}
            for method, row in rows.items()
        }
        for i, value in enumerate(sample.valid[dim].values)
    }


def _groups(
    entries: dict[str, dict[str, _Entry]], name: str, sample: _Sample
) -> dict[str, dict[str, dict[str, xr.DataArray]]]:
    """Repeat the table for each value of a dimension or of a coordinate along one."""
    if name in sample.valid.dims:
        return _rows_along(entries, name, sample)
    if name not in sample.valid.coords or sample.valid.coords[name].ndim != 1:
        known = [str(c) for c in (*sample.valid.dims, *sample.valid.coords)]
        raise UsageError(f"cannot group by {name!r}", remedy=nearest(name, known))
    labels = sample.valid.coords[name]
    dim = labels.dims[0]
    tables = {}
    for value in np.unique(labels.values):
        positions = np.flatnonzero(labels.values == value)

        def pick(field: xr.DataArray, positions: np.ndarray = positions) -> xr.DataArray:
            return field.isel({dim: positions}) if dim in field.dims else field

        tables[_label(value)] = _rows(entries, pick, sample.weights)
    return tables


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
