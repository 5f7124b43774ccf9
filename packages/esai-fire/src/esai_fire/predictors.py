"""Predictors: indices at their lags before the peak month, never after the issue date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from esai_core.errors import InputError, UsageError, unknown
from esai_fire.catalogue import canonical, ocean_of

__all__ = ["Predictors", "lag_predictors"]


@dataclass(frozen=True)
class Predictors:
    """Designs shared by the series of one peak month.

    Attributes
    ----------
    x : (12, n, p), or (1, n, p) of the monthly model
    names, lags, oceans : (p + q,) index, months before the peak, and ocean of each column.
    own : (C, n, q) columns of each series by itself (land cover, biomass), or None; they come last.
    """

    x: np.ndarray
    names: np.ndarray
    lags: np.ndarray
    oceans: np.ndarray
    own: np.ndarray | None = None

    @property
    def labels(self) -> list[str]:
        """Index and lag of each column as one text."""
        return [f"{name}-{lag}" for name, lag in zip(self.names, self.lags, strict=True)]

    def add_own(self, own: np.ndarray, names: Sequence[str], *, lag: int) -> Predictors:
        """Add columns (C, n, q) that each series has for itself; `lag` is their distance from the peak."""
        return replace(
            self,
            names=np.concatenate([self.names, np.asarray(names, dtype=object)]).astype(str),
            lags=np.concatenate([self.lags, np.full(len(names), lag)]),
            oceans=np.concatenate([self.oceans, np.full(len(names), "land")]).astype(str),
            own=own,
        )

    def of_series(self, peak: np.ndarray, part: slice = slice(None)) -> tuple[Predictors, np.ndarray]:
        """Give the designs of some series, and the position of each series' design among them.

        Parameters
        ----------
        peak : (C,) array
            Peak month of all series.
        part : slice
            Which of them.
        """
        design = peak[part] - 1 if self.x.shape[0] > 1 else np.zeros(peak[part].size, int)
        if self.own is None:
            return self, design
        x = np.concatenate([self.x[design], self.own[part]], axis=2)
        return replace(self, x=x, own=None), np.arange(design.size)


def lag_predictors(
    table: pd.DataFrame,
    *,
    names: Sequence[str],
    lags: tuple[int, int],
    lead: int,
    years: np.ndarray,
    month: np.ndarray,
    smooth: int = 1,
    peaks: np.ndarray | None = None,
    where: object = "data.indices",
) -> Predictors:
    """Line indices up with the rows of a target.

    Parameters
    ----------
    table : DataFrame
        Monthly series, indexed by the month's first day.
    names : sequence of str
        Indices to use, in any published spelling.
    lags : (first, last)
        Months before the peak month. Lags below `lead` would lie after the issue date and are not made.
    lead : int
        Months from the last index value that is used to the peak month.
    years, month : (n,) array
        Of each row; `month` is 0 where rows are years and the month is the peak of the series.
    smooth : int
        Means over this many months, ending in the month of the lag.
    peaks : array, optional
        Peak months that occur; designs of the others stay 0. All by default.
    where : object
        Named in errors.

    Returns
    -------
    Predictors

    Raises
    ------
    UsageError
        For an unknown index, or when no lag lies before the issue date.
    InputError
        If an index has no value in a month that is needed.
    """
    first, last = max(lags[0], lead), lags[1]
    if lags[0] > lags[1] or first > last:
        raise UsageError(
            f"no lag of {lags[0]}..{lags[1]} months lies before the issue date",
            where=f"predictors.lags, target.lead_months = {lead}",
            remedy="lower the lead, or raise the last lag",
        )
    wanted = [canonical(name) for name in names]
    for name in wanted:
        if name not in table:
            raise unknown("index", name, table.columns, where=where)
    steps = np.arange(first, last + 1)
    yearly = not np.any(month)
    occurring = set(range(1, 13)) if peaks is None else {int(peak) for peak in peaks}
    designs = np.zeros((12 if yearly else 1, years.size, len(wanted) * steps.size))
    start = table.index[0].year * 12 + table.index[0].month - 1
    for design in range(designs.shape[0]):
        if yearly and design + 1 not in occurring:
            continue
        months = np.full(years.size, design + 1) if yearly else month
        at = (years * 12 + months - 1 - start)[:, None] - steps
        for k, name in enumerate(wanted):
            values = _smoothed(table[name].to_numpy(np.float64), smooth)
            got = _take(values, at)
            if np.isnan(got).any():
                _explain_gap(table, name, at, got, where)
            designs[design, :, k * steps.size : (k + 1) * steps.size] = got
    return Predictors(
        x=designs,
        names=np.repeat(wanted, steps.size),
        lags=np.tile(steps, len(wanted)),
        oceans=np.repeat([ocean_of(name) for name in wanted], steps.size),
    )


def _smoothed(values: np.ndarray, width: int) -> np.ndarray:
    if width == 1:
        return values
    return pd.Series(values).rolling(width).mean().to_numpy()


def _take(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    inside = (at >= 0) & (at < values.size)
    return np.where(inside, values[np.clip(at, 0, values.size - 1)], np.nan)


def _explain_gap(table: pd.DataFrame, name: str, at: np.ndarray, got: np.ndarray, where: object) -> None:
    """Say which month is missing, and whether the series ended, began too late or has a gap."""
    wanted = int(at[np.isnan(got)].max())
    known = table[name].dropna()
    month = table.index[0] + pd.DateOffset(months=wanted)
    if known.empty:
        raise InputError("the index holds no value", where=f"{where}: {name}")
    if month > known.index[-1]:
        text = f"{name} ends in {known.index[-1]:%Y-%m}, before the issue date {month:%Y-%m}"
        raise InputError(text, where=where, remedy="give a longer series, or fewer years to forecast")
    month = table.index[0] + pd.DateOffset(months=int(at[np.isnan(got)].min()))
    if month < known.index[0]:
        text = f"{name} begins in {known.index[0]:%Y-%m}, but {month:%Y-%m} is needed"
        raise InputError(text, where=where, remedy="give a longer series, fewer lags or later years")
    raise InputError(
        f"{name} has no value in {month:%Y-%m}", where=where, remedy="fill the gap or leave it out"
    )
