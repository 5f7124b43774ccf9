"""Cross-validations side by side: what is held out decides what a score says.

``random`` rows share their station and their day with training rows: it tells how well gaps are filled.
``station`` holds out whole stations, ``block_D`` whole blocks of D degrees: new places, near and far.
``month``
holds out whole months and ``year_YYYY`` the last year: new times at known places.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from esai_airquality.no2.config import No2Section, ValidationSection
from esai_airquality.no2.models import fit
from esai_core import verify
from esai_core.errors import InputError
from esai_core.splits import Fold, hold_out, k_fold

__all__ = ["Sample", "block_labels", "make_folds", "out_of_fold", "pair_predictions", "score_values"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """Rows with an observation.

    Attributes
    ----------
    rows : float32 array (row, predictor)
        Predictors.
    target : array (row,)
        Observations.
    month : int array (row,)
        0 to 11; 0 in a table of means.
    """

    rows: NDArray[np.float32]
    target: Array
    month: NDArray[np.int64]

    def columns(self, which: NDArray[np.int64]) -> Sample:
        """Keep some predictors."""
        return Sample(np.ascontiguousarray(self.rows[:, which]), self.target, self.month)


def block_labels(latitude: NDArray, longitude: NDArray, *, degrees: float) -> NDArray[np.int64]:
    """Label each place with its block of `degrees` by `degrees`."""
    row = np.floor(np.asarray(latitude) / degrees).astype(np.int64)
    column = np.floor((np.asarray(longitude) % 360) / degrees).astype(np.int64)
    return row * 1_000_000 + column


def make_folds(table: pd.DataFrame, config: ValidationSection, *, seed: int) -> dict[str, list[Fold]]:
    """Make the folds of every cross-validation that the table allows.

    Parameters
    ----------
    table : DataFrame
        ``station``, ``latitude``, ``longitude``, ``time`` (NaT in a table of means); rows with an
        observation.
    config : ValidationSection
        Number of parts, sizes of blocks.
    seed : int
        Of the draw of parts.

    Returns
    -------
    dict of str to list of Fold
        ``random``, ``station``, ``block_D``, ``month``, ``year_YYYY``. Without days the last two are left
        out,
        and ``station`` where each has one row, as it would be ``random`` again.

    Raises
    ------
    InputError
        If all stations lie in one block.
    """
    station = table["station"].to_numpy(str)

    def parts(labels: NDArray) -> list[Fold]:
        return k_fold(labels, k=min(config.folds, len(np.unique(labels))), seed=seed)

    made = {"random": parts(np.arange(len(table)))}
    stations = len(np.unique(station))
    if 2 <= stations < len(table):
        made["station"] = parts(station)
    for degrees in config.blocks:
        labels = block_labels(table["latitude"], table["longitude"], degrees=degrees)
        if len(np.unique(labels)) < 2:
            raise InputError(
                f"all {stations} stations lie in one block of {degrees:g} degrees", where="validation.blocks",
                remedy="give smaller blocks, or more stations",
            )  # fmt: skip
        made[f"block_{degrees:g}"] = parts(labels)
    if table["time"].notna().all():
        days = pd.DatetimeIndex(table["time"])
        months = days.year.to_numpy() * 12 + days.month.to_numpy()
        if len(np.unique(months)) >= 2:
            made["month"] = parts(months)
        years = days.year.to_numpy()
        if config.last_year and len(np.unique(years)) >= 2:
            made[f"year_{years.max()}"] = [hold_out(years, [years.max()])]
    return made


def out_of_fold(
    sample: Sample, folds: Sequence[Fold], method: str, *, config: No2Section, seed: int
) -> Array:
    """Predict each row by a model that was fitted without its fold; NaN for rows that no fold tests."""
    made = np.full(len(sample.target), np.nan)
    for fold in folds:
        made[fold.test] = _fit_predict(sample, fold.train, fold.test, method, config, seed)
    return made


def pair_predictions(
    sample: Sample, folds: Sequence[Fold], method: str, *, config: No2Section, seed: int
) -> dict[tuple[int, int], tuple[Array, Array]]:
    """Predict pairs of folds by models that were fitted without both.

    Returns
    -------
    dict of (i, j) to (array, array)
        For ``i < j``: predictions of the test rows of fold i and of fold j. Those of j calibrate intervals
        for
        fold i, of which nothing was seen then, and the other way round.
    """
    made = {}
    for i in range(len(folds)):
        for j in range(i + 1, len(folds)):
            both = np.union1d(folds[i].test, folds[j].test)
            train = np.setdiff1d(np.arange(len(sample.target)), both)
            if len(train) < 50:
                continue
            values = _fit_predict(sample, train, np.r_[folds[i].test, folds[j].test], method, config, seed)
            made[i, j] = (values[: len(folds[i].test)], values[len(folds[i].test) :])
    return made


def _fit_predict(
    sample: Sample, train: NDArray, test: NDArray, method: str, config: No2Section, seed: int
) -> Array:
    model = fit(
        method, sample.rows[train], sample.target[train], sample.month[train], config=config, seed=seed
    )
    return model.predict(sample.rows[test], sample.month[test])


SCORES: Mapping[str, Callable[..., xr.DataArray]] = {
    "r2": verify.d2,
    "rmse": verify.rmse,
    "mae": verify.mae,
    "bias": verify.bias,
    "nmb": verify.nmb,
    "nrmse": verify.nrmse,
    "pcc": verify.pearson_r,
    "nmsdb": verify.nmsdb,
}
"""Scores by the names of the field; r2 is 1 less the squared errors over those of the mean observation."""


def score_values(forecast: Array, observed: Array) -> dict[str, float | None]:
    """Score predictions: `SCORES`; None where one is not defined. Rows without either are left out."""
    f, o = (xr.DataArray(np.asarray(values, np.float64), dims="case") for values in (forecast, observed))
    found = {name: float(function(f, o)) for name, function in SCORES.items()}
    return {name: value if np.isfinite(value) else None for name, value in found.items()}
