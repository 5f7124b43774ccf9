"""Verify predictions: the table of metrics.json, and what the report draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.grid import area_weights
from esai_core.hindcast import climatology as start_climatology
from esai_core.uncertainty import interval_scores
from esai_core.verify import (
    block_bootstrap,
    crps,
    ensemble_moments,
    exceedance,
    exceeds,
    power_spectrum,
    rank_histogram,
    reliability,
    score_table,
)
from esai_seasonal.calibration import COVERAGE

__all__ = [
    "SCORES",
    "VALIDATION_SCORES",
    "diagnose",
    "held_by_lead",
    "intervals",
    "power_ratio",
    "scores",
    "verify",
]

SCORES = ("rmse", "crps", "crps_fair", "bias", "acc", "spread_skill")
VALIDATION_SCORES = ("rmse", "crps", "crps_fair", "bias")


def scores(
    predictions: Mapping[str, xr.DataArray],
    truth: xr.DataArray,
    *,
    names: Sequence[str],
    climatology: xr.DataArray | None = None,
    by: Sequence[str] = (),
) -> dict[str, Any]:
    """Area-weighted scores of every method on the cases that all of them have.

    Parameters
    ----------
    predictions : mapping of str to DataArray
        ``(start, lead, number, latitude, longitude)`` each.
    truth : DataArray
        ``(start, lead, latitude, longitude)``.
    names : sequence of str
        Scores, as `esai_core.verify.SCORES` calls them.
    climatology : DataArray, optional
        What anomalies of `acc` are taken from, like `truth`.
    by : sequence of str
        "lead", "month" (of the start).
    """
    if not bool(truth.notnull().any()):
        raise InputError("the reference has no value at the valid times of these forecasts: nothing to score")
    month = ("start", truth["start"].dt.month.values)
    truth = _plain(truth).assign_coords(month=month)
    given = {name: _plain(forecast).assign_coords(month=month) for name, forecast in predictions.items()}
    if climatology is not None:
        climatology = _plain(climatology)
    weights = area_weights(truth["latitude"])
    return score_table(given, truth, scores=names, by=by, weights=weights, climatology=climatology)


def _plain(da: xr.DataArray) -> xr.DataArray:
    return da.drop_vars([c for c in ("valid_time", "month") if c in da.coords])


def climatology_of(truth: xr.DataArray, starts: np.ndarray, like: xr.DataArray) -> xr.DataArray:
    """Mean of the development starts per start month and lead, at the starts of `like`."""
    mean = start_climatology(_plain(truth).isel(start=starts))
    return mean.sel(month=like["start"].dt.month).drop_vars("month").transpose(*like.dims)


def verify(
    predictions: Mapping[str, xr.DataArray], truth: xr.DataArray, *, climatology: xr.DataArray
) -> dict[str, Any]:
    """All scores of all methods: over everything, by lead and by start month.

    Returns
    -------
    dict
        ``cases``, ``scores``, ``by_lead``, ``by_month``, as metrics.json holds them.
    """
    return scores(predictions, truth, names=SCORES, climatology=climatology, by=("lead", "month"))


def intervals(
    predictions: Mapping[str, xr.DataArray], truth: xr.DataArray, delivered: str, *, seed: int = 0
) -> dict[str, dict[str, dict[str, float | None]]]:
    """Skill of the delivered method against every other, with 90 % intervals from whole years.

    Returns
    -------
    dict
        ``{baseline: {"crpss" | "rmse_skill": {"estimate", "lower", "upper"}}}``; empty with one test year.
    """
    years = truth["start"].dt.year.values
    if np.unique(years).size < 2:
        return {}
    weights = area_weights(truth["latitude"])
    cells = ("lead", "latitude", "longitude")
    out: dict[str, dict[str, dict[str, float | None]]] = {}
    truth = _plain(truth)

    def case(forecast: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        forecast = _plain(forecast)
        squared = (ensemble_moments(forecast)["mean"] - truth) ** 2
        return crps(forecast, truth, dim=cells, weights=weights), squared.weighted(weights).mean(cells)

    ours = [c.compute() for c in case(predictions[delivered])]
    for name, forecast in predictions.items():
        if name == delivered:
            continue
        theirs = [c.compute() for c in case(forecast)]
        rows: dict[str, dict[str, float | None]] = {}
        for label, model, base, root in (
            ("crpss", ours[0], theirs[0], 1.0),
            ("rmse_skill", ours[1], theirs[1], 0.5),
        ):
            pair = xr.Dataset({"model": model, "base": base}).reset_coords(drop=True)
            if not bool((pair["base"] > 0).any()):
                continue
            found = block_bootstrap(
                pair,
                dim="start",
                blocks=years,
                combine=lambda m, p=root: 1 - (m.model / m.base) ** p,
                seed=seed,
            )
            rows[label] = {k: _number(found[k]) for k in ("estimate", "lower", "upper")}
        out[name] = rows
    return out


def held_by_lead(path: Path, name: str, truth: xr.DataArray) -> dict[str, dict[str, float]]:
    """Score the intervals of a written forecast, of all leads and of each.

    Parameters
    ----------
    path : Path
        ``forecast.nc``.
    name : str
        Its variable.
    truth : DataArray
        ``(start, lead, latitude, longitude)``.

    Returns
    -------
    dict
        Part to what `esai_core.uncertainty.interval_scores` gives, years as blocks; empty without a case.
    """
    with xr.open_dataset(path, engine="netcdf4", decode_timedelta=False) as ds:
        ends = [ds[f"{name}_{side}"].load().transpose(*truth.dims).values for side in ("lower", "upper")]
    years, observed = truth["start"].dt.year.values, truth.values
    found = {}
    for number, part in enumerate(["all", *truth["lead"].values]):
        chosen = slice(None) if number == 0 else slice(number - 1, number)
        y, low, high = (values[:, chosen] for values in (observed, *ends))
        if (np.isfinite(y) & ~np.isnan(low)).any():
            label = "all" if number == 0 else f"lead {part}"
            found[label] = interval_scores(y, low, high, coverage=COVERAGE, blocks=years)
    return found


def _number(value: xr.DataArray) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def diagnose(
    predictions: Mapping[str, xr.DataArray],
    truth: xr.DataArray,
    *,
    delivered: str,
    climatology: xr.DataArray,
    upper_tercile: xr.DataArray,
    seed: int = 0,
) -> xr.Dataset:
    """Everything that the report draws, small enough for one file.

    Maps of bias and RMSE of raw and delivered forecasts (and of networks before and after adversarial
    training, whichever is delivered) and one example, rank histograms, the reliability
    of the
    upper tercile, and spectra of the example fields.
    """
    truth = _plain(truth)
    pair = ("network", "adversarial") if "adversarial" in predictions else ()
    shown = [name for name in dict.fromkeys(("raw", *pair, delivered)) if name in predictions]
    out: dict[str, xr.DataArray] = {}
    bias, error, ranks, curves, spectra = [], [], [], [], []
    event = exceeds(truth, upper_tercile)
    for name in shown:
        forecast = _plain(predictions[name])
        mean = ensemble_moments(forecast)["mean"].compute()
        bias.append((mean - truth).mean(("start", "lead")))
        error.append(((mean - truth) ** 2).mean(("start", "lead")) ** 0.5)
        ranks.append(rank_histogram(forecast, truth, seed=seed).compute())
        curves.append(reliability(exceedance(forecast, upper_tercile), event, bins=10).compute())
        spectra.append(_spectrum(forecast.isel(number=0, drop=True)))
        if name in ("raw", delivered):
            label = "raw" if name == "raw" else "delivered"
            out[f"example_{label}"] = mean.isel(start=-1, lead=0).reset_coords(drop=True)
    method = xr.DataArray(shown, dims="method", name="method")
    out["bias_map"], out["rmse_map"] = xr.concat(bias, method), xr.concat(error, method)
    size = max(r.sizes["rank"] for r in ranks)
    out["rank_count"] = xr.concat([r.reindex(rank=np.arange(size)).astype(float) for r in ranks], method)
    joined = xr.concat(curves, method)
    out |= {f"reliability_{name}": joined[name] for name in joined.data_vars}
    out["spectrum"] = xr.concat(
        [*spectra, _spectrum(truth)], xr.DataArray([*shown, "reference"], dims="field", name="field")
    )
    out["example_reference"] = truth.isel(start=-1, lead=0).reset_coords(drop=True)
    out["example_climatology"] = climatology.isel(start=-1, lead=0).reset_coords(drop=True)
    example = {"example_start": str(truth["start"].values[-1])[:10], "example_lead": int(truth["lead"][0])}
    return xr.Dataset({k: v.reset_coords(drop=True) for k, v in out.items()}, attrs=example)


def power_ratio(spectrum: xr.DataArray) -> dict[str, float]:
    """Compare the power of fields at small scales, beyond half of the highest wavenumber.

    Parameters
    ----------
    spectrum : DataArray
        ``(field, wavenumber)``, variance density; one field is called "reference".

    Returns
    -------
    dict of str to float
        Mean density there over that of the reference, for the others: 1 for fields as rough as real ones.
    """
    small = spectrum.where(spectrum["wavenumber"] > 0.5 * spectrum["wavenumber"].max()).mean("wavenumber")
    names = [str(name) for name in spectrum["field"].values if name != "reference"]
    return {name: float(small.sel(field=name) / small.sel(field="reference")) for name in names}


def _spectrum(fields: xr.DataArray) -> xr.DataArray:
    """Mean spectrum over starts and leads of the fields without gaps, cycles per degree."""
    rows, columns = (float(abs(np.diff(fields[n].values)).mean()) for n in ("latitude", "longitude"))
    whole = fields.where(fields.notnull().all(("latitude", "longitude")))
    return power_spectrum(whole, spacing=(rows, columns)).mean(("start", "lead")).compute()
