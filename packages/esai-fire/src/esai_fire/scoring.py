"""Scores of every method: per series, and as the tables of metrics.json."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy import stats

from esai_core import verify
from esai_core.uncertainty import interval_scores

__all__ = ["claims", "held_by", "scores_of", "skill_of_series"]


def skill_of_series(
    observed: np.ndarray, forecasts: Mapping[str, np.ndarray], crps: Mapping[str, np.ndarray]
) -> xr.Dataset:
    """Score every method on every series over the rows that all methods forecast.

    Parameters
    ----------
    observed : (C, n) array
        NaN where unknown or not scored.
    forecasts, crps : mapping of str to (C, n) array
        Per method, ``climatology`` among them.

    Returns
    -------
    Dataset
        ``d2`` (Poisson deviance against the climatology), ``crps``, ``crpss``, ``r``, ``rmse`` on ``(method,
        series)`` and ``p`` of the gain in deviance over the climatology (`claims`).
    """
    dims = ("series", "sample")
    common = np.isfinite(observed)
    for values in forecasts.values():
        common &= np.isfinite(values)
    truth = xr.DataArray(np.where(common, observed, np.nan), dims=dims)
    base = xr.DataArray(np.where(common, forecasts["climatology"], np.nan), dims=dims)
    found: dict[str, list[xr.DataArray]] = {name: [] for name in ("d2", "crps", "r", "rmse", "p")}
    for name, values in forecasts.items():
        one = xr.DataArray(np.where(common, values, np.nan), dims=dims)
        found["d2"].append(verify.d2(one, truth, reference=base, family="poisson", dim="sample"))
        found["r"].append(verify.pearson_r(one, truth, dim="sample"))
        found["rmse"].append(verify.rmse(one, truth, dim="sample"))
        found["crps"].append(xr.DataArray(np.where(common, crps[name], np.nan), dims=dims).mean("sample"))
        found["p"].append(xr.DataArray(claims(truth.values, one.values, base.values), dims="series"))
    methods = xr.DataArray(list(forecasts), dims="method", name="method")
    ds = xr.Dataset({name: xr.concat(values, dim=methods) for name, values in found.items()})
    mean = ds["crps"].sel({"method": "climatology"}, drop=True)
    ds["crpss"] = 1.0 - ds["crps"] / mean.where(mean > 0.0)
    return ds


def claims(observed: np.ndarray, forecast: np.ndarray, climatology: np.ndarray) -> np.ndarray:
    """One-sided p-value of a gain in Poisson deviance over the climatology (paired t-test over rows).

    Parameters
    ----------
    observed, forecast, climatology : (C, n) array
        NaN where not scored.

    Returns
    -------
    numpy.ndarray
        (C,); 1 where the forecast is the climatology.
    """
    from esai_core.glm import unit_deviance

    there = np.isfinite(observed) & np.isfinite(forecast) & np.isfinite(climatology)
    truth = np.where(there, observed, 1.0)
    gain = np.where(
        there,
        unit_deviance("poisson", truth, np.where(there, climatology, 1.0))
        - unit_deviance("poisson", truth, np.where(there, forecast, 1.0)),
        0.0,
    )
    count = there.sum(axis=1)
    usable = np.maximum(count, 2)
    mean = gain.sum(axis=1) / usable
    spread = np.where(there, (gain - mean[:, None]) ** 2, 0.0).sum(axis=1) / (usable - 1)
    error = np.sqrt(spread / usable)
    score = np.where(error > 0.0, mean / np.where(error > 0.0, error, 1.0), -np.inf)
    return np.where((count >= 3) & np.isfinite(score), stats.t.sf(score, usable - 1), 1.0)


def held_by(
    ds: xr.Dataset, observed: np.ndarray, ends: tuple[np.ndarray, np.ndarray], *, level: float
) -> dict[str, dict[str, float]]:
    """Score intervals: of all series, of the cells, and of each region.

    Parameters
    ----------
    ds : Dataset
        With ``series``, ``row`` and ``year``.
    observed : (C, n) array
        NaN where unknown or not scored.
    ends : two (C, n) arrays
    level : float
        Nominal coverage.

    Returns
    -------
    dict
        Part to what `esai_core.uncertainty.interval_scores` gives; years are its blocks.
    """
    cells = ds["row"].values >= 0
    parts = {"all": np.ones(cells.size, bool)}
    if cells.any() and not cells.all():
        parts["cells"] = cells
    parts |= {str(ds["series"].values[at]): np.arange(cells.size) == at for at in np.flatnonzero(~cells)}
    found = {}
    for name, chosen in parts.items():
        truth, low, high = (values[chosen].T for values in (observed, *ends))
        if (np.isfinite(truth) & np.isfinite(low)).any():
            found[name] = interval_scores(truth, low, high, coverage=level, blocks=ds["year"].values)
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def scores_of(skill: xr.Dataset, chosen: np.ndarray) -> dict[str, dict[str, float | None]]:
    """Medians over some series, one row per method: ``d2 crps r rmse`` and the share of series that gain.

    Parameters
    ----------
    skill : Dataset
        From `skill_of_series`.
    chosen : (C,) bool array
        Series.
    """
    table = {}
    part = skill.isel(series=np.flatnonzero(chosen))
    for method in skill["method"].values:
        one = part.sel({"method": method})
        row = {name: _number(float(one[name].median())) for name in ("d2", "crps", "r", "rmse", "crpss")}
        if chosen.sum() > 1:
            row["d2_mean"] = _number(float(one["d2"].mean()))
            row["share_d2_positive"] = _number(float((one["d2"] > 0.0).mean()))
            row["share_significant"] = _number(float(((one["d2"] > 0.0) & (one["p"] < 0.05)).mean()))
        table[str(method)] = row
    return table
