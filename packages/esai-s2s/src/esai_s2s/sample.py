"""One variable and window as plain arrays: what every method is fitted on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr

from esai_core.transforms import QuantileCategories, group_labels

__all__ = ["LABELS", "Categories", "Sample", "fit_categories", "join_cells"]

ARRAYS = ("starts", "valid", "observed", "forecast", "lags", "latitude", "longitude")
Kind = Literal["normal", "precipitation"]

LABELS = {
    3: ("below normal", "near normal", "above normal"),
    5: ("far below normal", "below normal", "near normal", "above normal", "far above normal"),
}


@dataclass(frozen=True, eq=False)
class Sample:
    """Cases of one variable and window.

    Attributes
    ----------
    variable, window : str
        Names.
    kind : {"normal", "precipitation"}
        How it is treated.
    starts : (n,) datetime64[ns]
        Forecast reference times, ascending.
    valid : (n, days) datetime64[D]
        Days that the truth of each case is made of.
    observed : (n, cells)
        Window values, NaN where missing.
    forecast : (n, members, cells) or None
        Window values of the members, NaN where missing.
    lags : (n, p, cells) or None
        Observed means before the start.
    latitude, longitude : (cells,) or None
        Where the cells are.
    sources : tuple of (str, int)
        Forecast models and their numbers of members, in the order of the axis of members; empty for one.
    statistics : mapping of (str, str) to (n, cells)
        What `esai_s2s.predictors.remember` worked out from the forecast before, by statistic and power.
    """

    variable: str
    window: str
    kind: Kind
    starts: np.ndarray
    valid: np.ndarray
    observed: np.ndarray
    forecast: np.ndarray | None = None
    lags: np.ndarray | None = None
    latitude: np.ndarray | None = None
    longitude: np.ndarray | None = None
    sources: tuple[tuple[str, int], ...] = ()
    statistics: Mapping[tuple[str, str], np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of cases."""
        return len(self.starts)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.observed.shape[1])

    @property
    def angle(self) -> np.ndarray:
        """(n,) time of the year of the start, in radians."""
        starts = self.starts.astype("datetime64[D]")
        day = (starts - starts.astype("datetime64[Y]")).astype(np.int64)
        return 2.0 * np.pi * day / 365.25

    @property
    def known(self) -> np.ndarray:
        """(cells,) whether a cell has any observation."""
        return ~np.isnan(self.observed).all(axis=0)

    def of_source(self, number: int) -> Sample:
        """Return the cases with the members of one forecast model alone."""
        if not self.sources or self.forecast is None:
            return self
        first = sum(size for _, size in self.sources[:number])
        part = slice(first, first + self.sources[number][1])
        return replace(self, forecast=self.forecast[:, part], sources=(), statistics={})

    def save(self, path: Path) -> None:
        """Write to one .npz file, without pickles."""
        arrays = {key: getattr(self, key) for key in ARRAYS if getattr(self, key) is not None}
        head = {key: getattr(self, key) for key in ("variable", "window", "kind", "sources")}
        np.savez(path, head=np.array(json.dumps(head)), **arrays)

    @classmethod
    def load(cls, path: Path) -> Sample:
        """Read what `save` wrote."""
        with np.load(path) as kept:
            arrays = dict(kept)
        head = json.loads(str(arrays.pop("head")))
        head["sources"] = tuple((str(name), int(size)) for name, size in head["sources"])
        return cls(**head, **arrays)

    def take(self, rows: np.ndarray) -> Sample:
        """Return the cases at `rows`."""
        return replace(
            self,
            starts=self.starts[rows],
            valid=self.valid[rows],
            observed=self.observed[rows],
            forecast=None if self.forecast is None else self.forecast[rows],
            lags=None if self.lags is None else self.lags[rows],
            statistics={key: values[rows] for key, values in self.statistics.items()},
        )

    def on_cells(self, cells: slice | np.ndarray) -> Sample:
        """Return the cases of some cells."""
        return replace(
            self,
            observed=self.observed[:, cells],
            forecast=None if self.forecast is None else self.forecast[:, :, cells],
            lags=None if self.lags is None else self.lags[:, :, cells],
            latitude=None if self.latitude is None else self.latitude[cells],
            longitude=None if self.longitude is None else self.longitude[cells],
            statistics={key: values[:, cells] for key, values in self.statistics.items()},
        )


def join_cells(parts: Sequence[Sample]) -> Sample:
    """Return the cells of several samples of the same cases as one."""

    def joined(name: str) -> np.ndarray | None:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else np.concatenate(arrays, axis=-1)

    changed: dict[str, Any] = {
        name: joined(name) for name in ("observed", "forecast", "lags", "latitude", "longitude")
    }
    return replace(parts[0], **changed, statistics={})


@dataclass(frozen=True, eq=False)
class Categories:
    """Edges of the categories, in observations and in the climate of each model, from training cases.

    Attributes
    ----------
    observed : QuantileCategories
    forecast : tuple of QuantileCategories or None
        One for each forecast model; None for a model without values.
    """

    observed: QuantileCategories
    forecast: tuple[QuantileCategories | None, ...] = ()

    @property
    def size(self) -> int:
        """Number of categories K."""
        return len(self.observed.labels)

    def codes(self, sample: Sample) -> np.ndarray:
        """Return the observed category (n, cells), NaN where the observation or an edge is missing."""
        series = _fitted_groups(_series(sample.observed, sample), self.observed)
        return self.observed.transform(series).values.astype(np.float64)

    def of_source(self, number: int) -> Categories:
        """Return the edges for one forecast model alone."""
        return replace(self, forecast=self.forecast[number : number + 1])

    def member_codes(self, sample: Sample) -> np.ndarray:
        """Return the category of each member (n, members, cells) in the climate of its model."""
        if sample.forecast is None:
            raise ValueError("there is no forecast")
        found = np.full(sample.forecast.shape, np.nan, dtype=np.float32)
        first = 0
        for number, edges in enumerate(self.forecast):
            part = sample.of_source(number).forecast
            assert part is not None
            if edges is not None:
                members = _fitted_groups(_members(part, sample), edges)
                found[:, first : first + part.shape[1]] = edges.transform(members).values
            first += part.shape[1]
        return found

    def edges(self, sample: Sample) -> np.ndarray:
        """Return the observed edges (n, K - 1, cells) at the time of year of each case."""
        series = _fitted_groups(_series(sample.observed, sample), self.observed)
        groups = group_labels(series, time="start", group=self.observed.group)
        known = self.observed.edges["group"].values
        at = np.searchsorted(known, groups)
        return self.observed.edges.transpose("group", "edge", "cell").values[at]


def _calendar(starts: np.ndarray) -> np.ndarray:
    """Return dates for the calendar groups; the last days of the year count to week 52.

    Week 53 holds one or two days: weekly starts fall into it every few years, too seldom for its own edges.
    """
    days = starts.astype("datetime64[D]")
    first = days.astype("datetime64[Y]").astype("datetime64[D]")
    return np.minimum(days, first + np.timedelta64(363, "D")).astype("datetime64[ns]")


NEAR = {"week": (52, 4), "month": (12, 1)}
"""Groups around the year, and how far off a group without edges of its own may borrow them."""


def _fitted_groups(da: xr.DataArray, edges: QuantileCategories) -> xr.DataArray:
    """Date the cases of a group that no training case fell into to the nearest group that has edges.

    The weeks before a season that is held out are not trained on, as their truth reaches into it; where every
    other season is held out, the last weeks of a season are in no training case.
    """
    if edges.group is None:
        return da
    groups = group_labels(da, time="start", group=edges.group)
    known = edges.edges["group"].values
    lost = np.flatnonzero(~np.isin(groups, known))
    if not len(lost):
        return da
    period, reach = NEAR[edges.group]
    apart = np.abs(groups[lost, None] - known)
    apart = np.minimum(apart, period - apart)
    close = apart.min(axis=1) <= reach
    nearest = known[apart.argmin(axis=1)]
    starts = da["start"].values.copy()
    years = starts[lost].astype("datetime64[Y]")
    if edges.group == "week":
        moved = years.astype("datetime64[D]") + 7 * (nearest - 1)
    else:
        moved = (years.astype("datetime64[M]") + (nearest - 1)).astype("datetime64[D]")
    starts[lost[close]] = moved[close].astype("datetime64[ns]")
    return da.assign_coords(start=starts)


def _series(values: np.ndarray, sample: Sample) -> xr.DataArray:
    return xr.DataArray(values, dims=("start", "cell"), coords={"start": _calendar(sample.starts)})


def _members(values: np.ndarray, sample: Sample) -> xr.DataArray:
    return xr.DataArray(values, dims=("start", "number", "cell"), coords={"start": _calendar(sample.starts)})


def fit_categories(
    sample: Sample,
    *,
    size: int = 3,
    group: str | None = "week",
    window: int = 0,
    dry_edge: float | None = None,
    of_models: bool = True,
) -> Categories:
    """Fit the edges of observations and model on a training sample.

    Parameters
    ----------
    sample : Sample
        Training cases alone.
    size : {3, 5}
        Terciles or quintiles.
    group : {"week", "month", None}
        Groups of the calendar.
    window : int
        Groups before and after that count as well.
    dry_edge : float, optional
        Edges of precipitation are NaN, so that nothing is fitted or scored, where the lowest is below it.
    of_models : bool
        Whether the edges of the forecast models are needed: raw counts alone ask for them.

    Raises
    ------
    InputError
        If no group has enough values.
    """
    span = window if group else 0
    labels = LABELS[size]
    truth = QuantileCategories.fit(
        _series(sample.observed, sample), time="start", group=group, window=span, labels=labels
    )
    if dry_edge is not None and sample.kind == "precipitation":
        wet = truth.edges.isel(edge=0) >= dry_edge
        truth = replace(truth, edges=truth.edges.where(wet))
    models: list[QuantileCategories | None] = []
    for number in range(max(len(sample.sources), 1)) if of_models and sample.forecast is not None else ():
        members = sample.of_source(number).forecast
        assert members is not None
        fitted = None
        if sample.sources == () or np.isfinite(members).any():
            fitted = QuantileCategories.fit(
                _members(members, sample),
                time="start",
                over=("number",),
                group=group,
                window=span,
                labels=labels,
            )
        models.append(fitted)
    return Categories(truth, tuple(models))
