"""Scores of a network: between stations and blocks, of the intervals, and where a correction does harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from esai_airquality.mos.scoring import value_scores
from esai_airquality.reanalysis.config import ModelSection, NetworkSection
from esai_airquality.reanalysis.residuals import Fit
from esai_airquality.reanalysis.validation import chosen_elsewhere, interval_factors
from esai_core.uncertainty import interval_scores

__all__ = ["score_network"]


def score_network(
    table: pd.DataFrame, network: NetworkSection, fit: Fit, facts: dict, config: ModelSection
) -> dict[str, Any]:
    """Score what `cross_validate` predicted.

    Parameters
    ----------
    table : DataFrame
        Of the network.
    network : NetworkSection
        Its units.
    fit : Fit
        What is delivered.
    facts : dict
        Of the fit.
    config : ModelSection
        Methods and level.

    Returns
    -------
    dict
        ``loso`` and ``blocks`` (tables of METHOD to scores; ``chosen`` is the method that was best at all
        other stations), ``delivered``, ``beats_idw``, ``beats_raw``, ``coverage``, and what the fit found.
    """
    names: list[str] = [name for name in config.methods if name in table]
    found: dict[str, Any] = {"delivered": fit.method, "units": network.units}
    for scheme in ("loso", "blocks"):
        rows = table[table["scheme"] == scheme].reset_index(drop=True)
        scores = {name: _scores(rows[name], rows["observed"]) for name in names}
        values, choice = chosen_elsewhere(rows, names)
        scores["chosen"] = _scores(values, rows["observed"])
        found[scheme] = scores
        if scheme == "loso":
            found["choices"] = choice.groupby(rows["station"]).first().value_counts().to_dict()
            found |= _harm(rows, fit.method)
            _, factors = interval_factors(rows, fit.method, config.level)
            found["interval"] = _held(rows, fit.method, factors, config.level)
            found["coverage"] = found["interval"]["left-out stations"]["coverage"]
            found["sd_by_distance"] = _by_distance(rows, fit.method)
    best = found["loso"]["chosen"]["rmse"]
    found["beats_idw"] = None if "idw" not in names else bool(best < found["loso"]["idw"]["rmse"])
    found["beats_raw"] = None if "raw" not in names else bool(best < found["loso"]["raw"]["rmse"])
    found |= {key: facts[key] for key in ("stations", "level", "spread_within_cells", "cells_with_several")}
    found["cases"] = int((table["scheme"] == "loso").sum())
    found["covariance"] = None if fit.covariance is None else vars(fit.covariance)
    return found


def _held(rows: pd.DataFrame, method: str, factors: pd.Series, level: float) -> dict[str, dict[str, float]]:
    """Score the intervals of left-out stations, scaled by what was missed at the others."""
    half = factors * rows[f"sd_{method}"]
    ends = np.maximum(rows[method] - half, 0.0), rows[method] + half
    stations = rows["station"].to_numpy()
    scores = interval_scores(rows["observed"], *ends, coverage=level, blocks=stations)
    return {"left-out stations": scores}


def _scores(values: pd.Series, observed: pd.Series) -> dict[str, float | None]:
    there = np.isfinite(values.to_numpy()) & np.isfinite(observed.to_numpy())
    return value_scores(values.to_numpy()[there], observed.to_numpy()[there])


def _harm(rows: pd.DataFrame, method: str) -> dict[str, Any]:
    """Say at which stations, and in which periods, the delivered method does worse than raw."""
    if "raw" not in rows:
        return {}
    square = {name: (rows[name] - rows["observed"]) ** 2 for name in ("raw", method)}
    by_station = pd.DataFrame(square).groupby(rows["station"]).mean() if method != "raw" else None
    if by_station is None:
        return {"worse_stations": [], "worse_periods": []}
    by_period = pd.DataFrame(square).groupby(rows["period"]).mean()
    return {
        "worse_stations": list(by_station.index[by_station[method] > by_station["raw"]]),
        "worse_periods": list(by_period.index[by_period[method] > by_period["raw"]]),
    }


def _by_distance(rows: pd.DataFrame, method: str) -> list[dict[str, float]]:
    """Compare the standard deviations that were said with the errors that came, by distance to a station."""
    edges = np.quantile(rows["distance"], [0, 0.25, 0.5, 0.75, 1])
    part = np.clip(np.searchsorted(edges, rows["distance"], side="right") - 1, 0, 3)
    found = []
    for number in np.unique(part):
        few = rows[part == number]
        error = few[method] - few["observed"]
        found.append(
            {
                "distance_km": float(few["distance"].mean()),
                "sd": float(np.sqrt((few[f"sd_{method}"] ** 2).mean())),
                "rmse": float(np.sqrt((error**2).mean())),
                "cases": len(few),
            }
        )
    return found
