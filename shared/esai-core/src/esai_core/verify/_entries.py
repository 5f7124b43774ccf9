"""The scores of a table as fields of the cases, made once, and functions of their means."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from esai_core.align import aligned
from esai_core.errors import InputError
from esai_core.verify._average import checked_weights, mean
from esai_core.verify.deterministic import error
from esai_core.verify.ensemble import crps, crps_fair, ensemble_moments, spread_skill_of
from esai_core.verify.probability import exceedance, exceeds, rps_cases
from esai_core.verify.registry import Score, skill_score

#: The fields of a score, and the function that makes the score of them, dimensions and weights.
Entry = tuple[list[xr.DataArray], Callable[..., xr.DataArray]]
Entries = dict[str, dict[str, Entry]]


class Method:
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


class Sample:
    """The observations on the common sample, its weights, and the fields that scores compare with."""

    def __init__(self, observed: xr.DataArray, valid: xr.DataArray, weights: xr.DataArray | None) -> None:
        self.valid, self.weights = valid, weights
        self.observed = observed.where(valid)


def common_sample(
    methods: dict[str, Method],
    observed: xr.DataArray,
    climatology: xr.DataArray | None,
    weights: xr.DataArray | None,
    category: str,
) -> Sample:
    """Align the methods with the observations, and keep the cases that all of them have."""
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
    return Sample(observed, valid, None if weights is None else bare(checked_weights(valid, weights)))


def entry(
    score: Score, method: Method, methods: dict[str, Method], sample: Sample, options: dict[str, Any]
) -> Entry:
    """Make the entry of one score of one method."""
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
    score: Score, method: Method, base: Method | None, sample: Sample, options: dict[str, Any]
) -> Entry:
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


def _mean_entry(cases: xr.DataArray, base: xr.DataArray | None) -> Entry:
    """Make a score that is a mean of cases or, with a base, the skill of that mean against the base's."""
    if base is None:
        return [cases], lambda fields, dim, weights: mean(fields[0], dim, weights)
    return [cases, base], lambda fields, dim, weights: skill_score(
        mean(fields[0], dim, weights), mean(fields[1], dim, weights)
    )


def _ensemble_entry(score: Score, method: Method, base: Method | None, sample: Sample) -> Entry:
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


def _category_entry(score: Score, method: Method, base: Method | None, sample: Sample) -> Entry:
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


def bare(field: xr.DataArray) -> xr.DataArray:
    """Drop the coordinates of a field in the order of the sample: arithmetic need not compare them again."""
    return field.drop_vars(list(field.coords))
