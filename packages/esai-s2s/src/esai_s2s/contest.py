"""The scores of the two contests, each in its own order of averaging.

The S2S AI challenge (Vitart et al. 2022, BAMS 103, E2878) takes a skill score of every cell first and
averages it then; the AI Weather Quest averages the scores over the globe first and takes their ratio.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError, nearest
from esai_core.verify import rps, rps_fair

__all__ = ["Mode", "challenge_rpss", "quest_rpss", "rpss_by_cell"]

Mode = Literal["official", "strict", "fair"]

MISSING_RPS = 2.0  # the challenge's RPS of a forecast that should be there and is not
CLIP = (-10.0, 1.0)
SOUTH = -60.0


def challenge_rpss(
    observed: xr.Dataset,
    forecast: xr.Dataset,
    *,
    mode: Mode = "official",
    members: float | xr.DataArray | None = None,
) -> float:
    """Return the score of the S2S AI challenge; climatology scores 0, a perfect forecast 1.

    Per variable, lead and cell RPSS = 1 - mean_t RPS / mean_t RPS_clim of each year, clipped to [-10, 1];
    latitudes from -60 on; mean over latitude with the weights cos(latitude), then over longitude without;
    then over years, leads and variables.

    Parameters
    ----------
    observed, forecast : Dataset
        One variable each for ``t2m`` and ``tp`` (or one of them), dims ``(category, forecast_time, lead_time,
        latitude, longitude)`` with equal coordinates. Observations are 0 or 1, and NaN where masked.
    mode : {"official", "strict", "fair"}
        ``official``: as the challenge's published code scored, in which a forecast that is NaN drops out of
        the mean. ``strict``: the rule it meant: a forecast that is NaN where there is an observation has an
        RPS of 2. ``fair``: as strict, with the RPS of an infinite ensemble (Ferro 2014) in place of that of
        `members`.
    members : float or DataArray, optional
        Members behind the probabilities, for ``fair``; by default the coordinate ``members``.

    Raises
    ------
    UsageError
        If the mode is not known, or ``fair`` is asked for without members.
    InputError
        If variables, labels or coordinates differ, probabilities do not sum to 1, or some categories of a
        case are NaN and others not.
    """
    if mode not in get_args(Mode):
        raise UsageError(f"unknown mode {mode!r}", remedy=nearest(str(mode), get_args(Mode)))
    names = sorted(map(str, observed.data_vars))
    lacking = [name for name in names if name not in forecast.data_vars]
    if not names or lacking:
        raise InputError(f"the forecast has no variable {', '.join(lacking) or '(none is observed)'}")
    means = []
    for name in names:
        skill = rpss_by_cell(observed[name], forecast[name], mode=mode, members=members)
        skill = skill.where(skill["latitude"] >= SOUTH, drop=True)
        weights = _area(skill)
        means.append(skill.weighted(weights).mean("latitude").mean("longitude").mean())
    return float(np.mean([float(mean) for mean in means]))


def rpss_by_cell(
    observed: xr.DataArray,
    forecast: xr.DataArray,
    *,
    mode: Mode = "official",
    members: float | xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the challenge's skill of each year, lead and cell, (year, lead_time, latitude, longitude).

    Parameters and errors as in `challenge_rpss`, for one variable.
    """
    size = observed.sizes.get("category", 0)
    if size < 2:
        raise InputError("no dimension category of two or more", where=observed.name)
    if mode == "fair":
        if members is None and "members" not in forecast.coords:
            raise UsageError("mode fair needs the number of members", remedy="give members=")
        cases = rps_fair(forecast, observed, members=members, dim=())
    else:
        cases = rps(forecast, observed, dim=())
    flat = xr.full_like(forecast, 1 / size, dtype=np.float64).drop_vars("members", errors="ignore")
    worth = rps(flat, observed, dim=())
    if mode != "official":
        absent = forecast.isnull().all("category") & observed.notnull().all("category")
        cases = cases.where(~absent, MISSING_RPS)
    year = worth["forecast_time"].dt.year
    by_year = cases.groupby(year).mean("forecast_time") / worth.groupby(year).mean("forecast_time")
    return (1.0 - by_year).clip(*CLIP)


def quest_rpss(
    observed: xr.DataArray,
    forecast: xr.DataArray,
    *,
    land_fraction: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the score of the AI Weather Quest, one minus a ratio of global means, of each forecast and lead.

    Parameters
    ----------
    observed, forecast : DataArray
        Quintiles, dims ``(category, ..., latitude, longitude)``; observations are 0 or 1 (NaN: masked).
    land_fraction : DataArray, optional
        ``(latitude, longitude)``; cells below 0.5 do not count.

    Returns
    -------
    DataArray
        On the dimensions that are left.

    Raises
    ------
    InputError
        As `challenge_rpss`, or if a forecast is missing where there is an observation.
    """
    size = observed.sizes.get("category", 0)
    if size < 2:
        raise InputError("no dimension category of two or more", where=observed.name)
    cases = rps(forecast, observed, dim=())
    worth = rps(xr.full_like(forecast, 1 / size, dtype=np.float64), observed, dim=())
    if land_fraction is not None:
        land = land_fraction >= 0.5
        cases, worth = cases.where(land), worth.where(land)
    absent = int((worth.notnull() & cases.isnull()).sum())
    if absent:
        raise InputError(f"{absent} forecasts are missing where there is an observation", where=forecast.name)
    weights = _area(worth)
    dims = ("latitude", "longitude")
    return 1.0 - cases.weighted(weights).mean(dims) / worth.weighted(weights).mean(dims)


def _area(da: xr.DataArray) -> xr.DataArray:
    """Return cos(latitude)."""
    return xr.DataArray(
        np.cos(np.deg2rad(da["latitude"].values)).clip(0.0), coords={"latitude": da["latitude"]}
    )
