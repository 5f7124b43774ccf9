"""Scores of the cross-validations, the gain by the satellite, and how often intervals held."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from esai_airquality.no2.crossval import score_values
from esai_core import verify
from esai_core.uncertainty import interval_scores

__all__ = ["gains", "measured_coverage", "score_tables"]


def score_tables(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """Score the columns ``CV/METHOD`` of a table against ``observed``.

    Returns
    -------
    dict
        ``{CV: {METHOD: {SCORE: value}}}``; methods without the satellite end in ``_nosat``.
    """
    observed = table["observed"].to_numpy()
    made: dict[str, dict[str, dict[str, float | None]]] = {}
    for column in table.columns:
        name, slash, method = str(column).partition("/")
        if slash:
            made.setdefault(name, {})[method] = score_values(table[column].to_numpy(), observed)
    return made


def gains(
    table: pd.DataFrame, satellite: Sequence[str], methods: Sequence[str], *, seed: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Give what the satellite adds: ``1 - rmse(with) / rmse(without)`` with its 90 % interval.

    Whole stations are drawn with replacement, as rows of one station share their errors.

    Returns
    -------
    dict
        ``{CV: {METHOD: {"estimate", "lower", "upper"}}}``; empty without a satellite.
    """
    made: dict[str, dict[str, dict[str, float]]] = {}
    if not satellite:
        return made
    station = pd.factorize(table["station"], sort=True)[0]
    observed = table["observed"].to_numpy()
    for column in table.columns:
        name, _, method = str(column).partition("/")
        bare = f"{column}_nosat"
        if method not in methods or bare not in table.columns:
            continue
        errors = {"model": table[column].to_numpy() - observed, "other": table[bare].to_numpy() - observed}
        there = np.isfinite(errors["model"]) & np.isfinite(errors["other"])
        weight = np.bincount(station[there]).astype(np.float64)
        some = weight > 0
        means = {
            key: ("station", np.bincount(station[there], error[there] ** 2)[some] / weight[some])
            for key, error in errors.items()
        }
        result = verify.block_bootstrap(
            xr.Dataset(means),
            dim="station",
            combine=lambda m: 1 - np.sqrt(m.model / m.other),
            weights=xr.DataArray(weight[some], dims="station"),
            seed=seed,
        )
        made.setdefault(name, {})[method] = {
            key: float(result[key]) for key in ("estimate", "lower", "upper")
        }
    return made


def measured_coverage(table: pd.DataFrame, column: str, coverage: float) -> dict[str, dict[str, float]]:
    """Measure how often intervals held, each calibrated without its own fold.

    Returns
    -------
    dict
        Of ``all`` rows, the ``highest tenth`` of the predictions and the ``worst part`` of the folds: what
        `esai_core.uncertainty.interval_scores` gives, folds as blocks; empty without calibration.
    """
    part = table[np.isfinite(table["lower"].to_numpy())]
    if part.empty:
        return {}

    def scores(rows: pd.DataFrame) -> dict[str, float]:
        ends = rows["lower"], rows["upper"]
        return interval_scores(rows["observed"], *ends, coverage=coverage, blocks=rows["fold"].to_numpy())

    by_fold = {fold: scores(rows) for fold, rows in part.groupby("fold")}
    return {
        "all": scores(part),
        "highest tenth": scores(part[part[column] >= part[column].quantile(0.9)]),
        "worst part": min(by_fold.values(), key=lambda one: one["coverage"]),
    }
