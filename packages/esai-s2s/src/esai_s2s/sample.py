"""One variable and window as plain arrays: what every method is fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import xarray as xr

from esai_core.transforms import QuantileCategories

__all__ = ["LABELS", "Categories", "Sample", "fit_categories"]

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

    def take(self, rows: np.ndarray) -> Sample:
        """Return the cases at `rows`."""
        return replace(
            self,
            starts=self.starts[rows],
            valid=self.valid[rows],
            observed=self.observed[rows],
            forecast=None if self.forecast is None else self.forecast[rows],
            lags=None if self.lags is None else self.lags[rows],
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
        )


@dataclass(frozen=True, eq=False)
class Categories:
    """Edges of the categories, in observations and in the model's climate, from training cases."""

    observed: QuantileCategories
    forecast: QuantileCategories | None

    @property
    def size(self) -> int:
        """Number of categories K."""
        return len(self.observed.labels)

    def codes(self, sample: Sample) -> np.ndarray:
        """Return the observed category (n, cells), NaN where the observation or an edge is missing."""
        return self.observed.transform(_series(sample.observed, sample)).values.astype(np.float64)

    def member_codes(self, sample: Sample) -> np.ndarray:
        """Return the category of each member (n, members, cells) in the model's climate."""
        if self.forecast is None or sample.forecast is None:
            raise ValueError("there is no forecast")
        return self.forecast.transform(_members(sample.forecast, sample)).values

    def edges(self, sample: Sample) -> np.ndarray:
        """Return the observed edges (n, K - 1, cells) at the time of year of each case."""
        from esai_core.transforms import group_labels

        series = _series(sample.observed, sample)
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
    return np.minimum(days, first + 363).astype("datetime64[ns]")


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
    model = None
    if sample.forecast is not None:
        model = QuantileCategories.fit(
            _members(sample.forecast, sample),
            time="start",
            over=("number",),
            group=group,
            window=span,
            labels=labels,
        )
    return Categories(truth, model)
