"""Prediction intervals of corrected forecasts, calibrated on errors of the past that no fit had seen.

The development years are gone through as an operational centre would have: the delivered method is fitted on
the first of them and forecasts the next (`past_errors`). Intervals are as wide, in units of the ensemble's
spread, as would have covered lately (`esai_core.uncertainty.AdaptiveConformal`); the truth of a start and
lead is used from the start on at which it is known. How fast they adapt is chosen on the development years
alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

from esai_core.errors import InputError
from esai_core.uncertainty import AdaptiveConformal, Interval, interval_scores
from esai_core.verify import ensemble_moments

__all__ = [
    "COVERAGE",
    "GAMMAS",
    "choose_gamma",
    "errors_of",
    "known_delay",
    "origins",
    "past_errors",
    "predict_interval",
    "truth_known",
]

log = logging.getLogger(__name__)

COVERAGE = 0.9
GAMMAS = (0.0, 0.01, 0.02, 0.05)
"""Steps of the level that are compared: 0 does not adapt."""
BLOCKS = 2
"""Blocks of training years that are forecast from the years before them."""
MEMORY_YEARS, SPIN_UP_YEARS = 10, 3
CELLS = ("latitude", "longitude")


def origins(starts: pd.DatetimeIndex, ends: pd.DatetimeIndex) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut training starts into blocks to forecast, each with the starts whose truth was known before it.

    Parameters
    ----------
    starts : DatetimeIndex (n,)
    ends : DatetimeIndex (n,)
        When the truth of the longest lead of each start is known.

    Returns
    -------
    list of (array, array)
        Positions to fit on and to forecast; the second half of the years, in two blocks.
    """
    years = np.unique(starts.year)
    later = years[len(years) - len(years) // 2 :]
    found = []
    for block in np.array_split(later, min(BLOCKS, len(later))):
        forecast = np.flatnonzero(np.isin(starts.year, block))
        if forecast.size == 0:
            continue
        known = np.flatnonzero(np.asarray(ends <= starts[forecast].min()))
        if known.size:
            found.append((known, forecast))
    return found


def errors_of(ensemble: xr.DataArray, truth: xr.DataArray) -> xr.Dataset:
    """Reduce an ensemble and its truth to what intervals need, ``(start, lead, latitude, longitude)``.

    Returns
    -------
    Dataset
        ``mean``, ``spread`` (standard deviation of the members, above 0) and ``truth``, float32.
    """
    dims = ("start", "lead", *CELLS)
    plain = ensemble.drop_vars("valid_time", errors="ignore")
    found = ensemble_moments(plain)[["mean", "variance"]].compute()
    spread = np.sqrt(found["variance"].fillna(0.0))
    least = 0.05 * spread.mean() + 1e-9  # members that agree are not sure for that
    given = truth.drop_vars("valid_time", errors="ignore").compute()
    made = {"mean": found["mean"], "spread": np.maximum(spread, least), "truth": given}
    made = {name: one.transpose(*dims).astype(np.float32).drop_attrs() for name, one in made.items()}
    return xr.Dataset({name: (dims, one.values) for name, one in made.items()}, made["mean"].coords)


def known_delay(starts: pd.DatetimeIndex, ends: pd.DatetimeIndex) -> int:
    """Count the starts until the truth of one is known, at most: the delay of the adaptive intervals."""
    known = np.searchsorted(np.sort(np.asarray(ends)), np.asarray(starts), side="right")
    return max(1, int((np.arange(len(starts)) - (known - 1)).max()))


def truth_known(starts: pd.DatetimeIndex, lead: float, units: str) -> pd.DatetimeIndex:
    """Give the time from which the truth of a lead is known: the end of its month (or day)."""
    step = pd.DateOffset(months=int(lead)) if units == "months" else pd.Timedelta(days=float(lead))
    return starts + step


def _series(past: xr.Dataset, gamma: float, units: str) -> Interval:
    """Go through all starts in time; ends ``(start, lead, latitude, longitude)``."""
    starts = past.indexes["start"]
    yearly = max(1, round(len(starts) / len(np.unique(starts.year))))
    ends = []
    for lead in past["lead"].values:
        one = past.sel(lead=lead)
        adaptive = AdaptiveConformal(
            coverage=COVERAGE,
            gamma=gamma,
            window=MEMORY_YEARS * yearly,
            delay=known_delay(starts, truth_known(starts, lead, units)),
            spin_up=max(10, SPIN_UP_YEARS * yearly),
        )
        found, _ = adaptive.intervals(one["truth"].values, one["mean"].values, scale=one["spread"].values)
        ends.append(found)
    lower, upper = (np.stack([getattr(one, side) for one in ends], axis=1) for side in ("lower", "upper"))
    dims, coords = past["mean"].dims, past["mean"].coords
    return Interval(xr.DataArray(lower, coords, dims), xr.DataArray(upper, coords, dims))


def choose_gamma(past: xr.Dataset, *, units: str) -> tuple[float, dict[str, dict[str, float]]]:
    """Choose how fast the intervals adapt: the step whose coverage of the past is nearest to the claim.

    Of those that are equally near (within half a point) the one of the best interval score.

    Parameters
    ----------
    past : Dataset
        Of `errors_of`, development starts alone.
    units : str
        Of the lead: "months" or "days".

    Returns
    -------
    float
        The step.
    dict
        Step to scores; empty where there is too little to judge, and the step is 0.
    """
    table: dict[str, dict[str, float]] = {}
    for gamma in GAMMAS:
        made = _series(past, gamma, units)
        if not bool((made.lower.notnull() & past["truth"].notnull()).any()):
            return 0.0, {}
        years = past.indexes["start"].year
        scores = interval_scores(past["truth"], made.lower, made.upper, coverage=COVERAGE, blocks=years)
        table[f"{gamma:g}"] = scores

    def order(name: str) -> tuple[float, float]:
        return round(abs(table[name]["coverage"] - COVERAGE) / 0.005) * 0.005, table[name]["interval_score"]

    return float(min(table, key=order)), table


def predict_interval(past: xr.Dataset, new: xr.Dataset, *, gamma: float, units: str) -> Interval:
    """Give the intervals of new forecasts from past errors and from truths of new starts once they are known.

    Parameters
    ----------
    past, new : Dataset
        Of `errors_of`, on the same grid and leads; truths that are not known yet are NaN.
    gamma : float
        Of `choose_gamma`.
    units : str
        Of the lead.

    Returns
    -------
    Interval
        DataArrays ``(start, lead, latitude, longitude)`` of the new starts.
    """
    before = past.sel(lead=new["lead"].values)
    before = before.isel(start=~np.isin(before["start"].values, new["start"].values))
    same = {name: new[name] for name in CELLS}
    both = xr.concat([before.assign_coords(same), new], "start", join="exact").sortby("start")
    made = _series(both, gamma, units)
    return Interval(*(end.sel(start=new["start"]) for end in made))


def past_errors(
    starts: pd.DatetimeIndex,
    *,
    ends: pd.DatetimeIndex,
    forecast: Callable[[np.ndarray, np.ndarray, str], xr.Dataset],
) -> list[xr.Dataset]:
    """Forecast blocks of training years from the years before; those that cannot be fitted are left out.

    Parameters
    ----------
    starts, ends
        As of `origins`.
    forecast : callable
        ``forecast(fit_on, positions, name)``: what `errors_of` gives, by a fit on the first positions.
    """
    found = []
    for number, (known, block) in enumerate(origins(starts, ends)):
        try:
            found.append(forecast(known, block, f"origin_{number}"))
        except InputError as error:
            log.info("no past errors from %d starts: %s", known.size, error)
    return found
