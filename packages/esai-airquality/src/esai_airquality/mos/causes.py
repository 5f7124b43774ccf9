"""What the error of a forecast follows from day to day, given the past of everything."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esai_airquality.mos.panel import Panel
from esai_core.causality import Causes

__all__ = ["ERROR", "daily_anomalies", "find_causes"]

ERROR = "error of the forecast"
LONGEST = 4  # days
_FEWEST = 60  # days
_GAPS = 0.1  # share of days that may be filled


def daily_anomalies(panel: Panel, lead: int) -> pd.DataFrame | None:
    """Bring error, observations and meteorology to daily means of the network, without trend and cycle.

    Parameters
    ----------
    panel : Panel
    lead : int

    Returns
    -------
    DataFrame or None
        A row per day; None of a short or gappy record.
    """

    def mean(values: NDArray) -> NDArray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # days without a value
            return np.nanmean(values, axis=(1, 2))

    forecast = panel.forecasts[lead]
    columns = {ERROR: mean(forecast - panel.observed), "observed": mean(panel.observed)}
    columns |= {name: mean(by_lead[lead]) for name, by_lead in panel.meteorology.items()}
    table = pd.DataFrame(columns, index=panel.days)
    known = table.notna().all(axis=1).to_numpy()
    if known.sum() < _FEWEST:
        return None
    inside = np.flatnonzero(known)
    table = table.iloc[inside[0] : inside[-1] + 1]
    if len(table) - known.sum() > _GAPS * len(table):
        return None
    table = table.interpolate().loc[:, lambda t: t.std() > 0.0]
    angle = 2 * np.pi * np.arange(len(table)) / 365.25
    parts = [np.ones(len(table)), angle, *(f(k * angle) for k in (1, 2) for f in (np.cos, np.sin))]
    design = np.stack(parts, axis=1)
    away = table - design @ np.linalg.lstsq(design, table.to_numpy(), rcond=None)[0]
    return away / away.std()


def find_causes(panel: Panel, lead: int, *, seed: int) -> Causes | None:
    """Look for lagged causes of the error of the forecast.

    Parameters
    ----------
    panel : Panel
    lead : int
        Lead of the forecast.
    seed : int
        Of the shuffled series.

    Returns
    -------
    Causes or None
        None where the record is too short.
    """
    data = daily_anomalies(panel, lead)
    if data is None or ERROR not in data:
        return None
    weeks = np.arange(len(data)) // 7
    return Causes.find(data, target=ERROR, blocks=weeks, longest=LONGEST, seed=seed)
