"""Residuals of a model at stations and periods: what is learnt from, and what is predicted to."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Sample", "spread_within_cells"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Cases of stations (or cells of a grid) and periods.

    Attributes
    ----------
    stations : tuple of str
        Names of the places.
    latitude, longitude : array (place,)
        Degrees.
    periods : tuple of str
        Names, in order of time (``"2018-01"``).
    months : array (period,)
        Middle of each period in months, 1 to 12, for the season.
    place, period : int array (case,)
        Of each case.
    observed : array (case,)
        NaN at cells of a grid.
    modelled : array (case,)
        0 where nothing is modelled.
    has_model : bool
        Whether something is.
    names : tuple of str
        Predictors; ``log:NAME`` are to be taken as logarithms.
    predictors : array (place, predictor)
        NaN where missing.
    """

    stations: tuple[str, ...]
    latitude: Array
    longitude: Array
    periods: tuple[str, ...]
    months: Array
    place: NDArray[np.int64]
    period: NDArray[np.int64]
    observed: Array
    modelled: Array
    has_model: bool
    names: tuple[str, ...]
    predictors: Array

    def cases(self, chosen: NDArray) -> Sample:
        """Give some of the cases; places and periods keep their numbers."""
        return replace(
            self,
            place=self.place[chosen],
            period=self.period[chosen],
            observed=self.observed[chosen],
            modelled=self.modelled[chosen],
        )

    def of_places(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Mark the cases of some places."""
        return np.isin(self.place, places)

    @property
    def residual(self) -> Array:
        """Observed less modelled, (case,)."""
        return self.observed - self.modelled


def spread_within_cells(sample: Sample, *, size: float) -> tuple[float | None, int]:
    """Estimate the error of representativity: how stations of one cell differ in one period.

    Parameters
    ----------
    sample : Sample
        Of stations.
    size : float
        Height and width of a cell in degrees (0.75 in EAC4).

    Returns
    -------
    float or None
        Standard deviation of the residuals within cells; None where no cell holds two stations.
    int
        Cells with two stations or more.
    """
    row = np.floor((sample.latitude + 90) / size).astype(np.int64)
    column = np.floor((sample.longitude + 180) / size).astype(np.int64)
    cell = (row * 100_000 + column)[sample.place] * 10_000 + sample.period
    _, group, count = np.unique(cell, return_inverse=True, return_counts=True)
    mean = np.bincount(group, sample.residual) / count
    squares = np.bincount(group, (sample.residual - mean[group]) ** 2)
    free = int((count - 1).sum())
    several = np.unique((cell // 10_000)[count[group] > 1])
    return (float(np.sqrt(squares.sum() / free)) if free else None), len(several)
