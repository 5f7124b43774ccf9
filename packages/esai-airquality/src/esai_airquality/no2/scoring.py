"""Scores of the cross-validations, the gain by the satellite, and how often intervals held."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from esai_airquality.no2.crossval import score_values
from esai_core import verify

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


def measured_coverage(table: pd.DataFrame, column: str, coverage: float) -> dict[str, float | None]:
    """Measure how often intervals held, each calibrated without its own fold.

    Returns
    -------
    dict
        ``asked``, ``coverage``, ``coverage_worst_fold``, ``coverage_high`` (of the highest tenth of the
        predictions), ``width`` (mean) and ``cases``.
    """
    there = np.isfinite(table["lower"].to_numpy())
    part = table[there]
    if part.empty:
        return {"asked": coverage, "coverage": None, "cases": 0}
    held = (part["observed"] >= part["lower"]) & (part["observed"] <= part["upper"])
    high = part[column] >= part[column].quantile(0.9)
    return {
        "asked": coverage,
        "coverage": float(held.mean()),
        "coverage_worst_fold": float(held.groupby(part["fold"]).mean().min()),
        "coverage_high": float(held[high].mean()),
        "width": float((part["upper"] - part["lower"]).mean()),
        "cases": len(part),
    }
