"""What the correction network reads: conditions, predictors and spread, as maps on the fine grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.verify import ensemble_moments
from esai_seasonal.data import Static
from esai_seasonal.methods.linear import root
from esai_seasonal.network.climate import Climate, Sums

__all__ = ["Moments", "Scaling", "conditions", "moments", "predictors", "spread_input"]


@dataclass(frozen=True)
class Moments:
    """Ensemble mean and standard deviation ``(start, lead, latitude, longitude)`` and when they are of."""

    mean: np.ndarray
    deviation: np.ndarray
    years: np.ndarray
    months: np.ndarray


def moments(fine: xr.DataArray, kind: str) -> Moments:
    """Reduce an interpolated hindcast to what the network needs (square roots of a non-negative variable)."""
    scaled = (
        fine
        if kind == "additive"
        else xr.apply_ufunc(root, fine, kind, dask="parallelized", output_dtypes=[float])
    )
    found = ensemble_moments(scaled)[["mean", "variance"]].compute()
    dims = ("start", "lead", "latitude", "longitude")
    variance = found["variance"].transpose(*dims).values
    starts = fine.indexes["start"]
    return Moments(
        found["mean"].transpose(*dims).values.astype("float32"),
        np.sqrt(np.where(np.isfinite(variance), variance, 0.0)).astype("float32"),
        np.asarray(starts.year, float),
        np.asarray(starts.month),
    )


@dataclass(frozen=True)
class Scaling:
    """Everything that is fitted on the training starts and not a weight of the network.

    Attributes
    ----------
    climate : Climate
        Baseline: mean and scale of the truth per start month and lead.
    months, leads : ndarray
        Start months and leads of the fit.
    forecast_mean : ndarray
        Mean of the ensemble mean, ``(month, lead, latitude, longitude)``.
    forecast_scale, log_spread, log_scale, year : float
        Standard deviation of its anomalies; mean logarithms of ensemble spread and of the truth's scale;
        mean year.
    """

    climate: Climate
    months: np.ndarray
    leads: np.ndarray
    forecast_mean: np.ndarray
    forecast_scale: float
    log_spread: float
    log_scale: float
    year: float

    @classmethod
    def of(cls, given: Moments, truth: np.ndarray, leads: np.ndarray, sums: Sums) -> Scaling:
        """Fit on training starts; `truth` is ``(start, lead, latitude, longitude)``."""
        climate = sums.climate()
        groups = [given.months == m for m in sums.months]
        mean = np.stack([_mean(given.mean[g]) for g in groups])
        at = np.searchsorted(sums.months, given.months)
        anomaly = given.mean - mean[at]
        return cls(
            climate,
            sums.months,
            np.asarray(leads),
            mean,
            float(max(np.nanstd(anomaly), 1e-12)),
            _mean_log(given.deviation),
            _mean_log(climate.scale),
            float(given.years.mean()),
        )

    def positions(self, months: np.ndarray) -> np.ndarray:
        """Positions of start months among those of the fit."""
        unknown = sorted(set(months.tolist()) - set(self.months.tolist()))
        if unknown:
            raise InputError(
                f"the network was not trained for start months {unknown}",
                remedy=f"it knows {self.months.tolist()}",
            )
        return np.searchsorted(self.months, months)

    def at_leads(self, positions: np.ndarray) -> Scaling:
        """Keep some leads."""
        climate = Climate(self.climate.mean[:, positions], self.climate.scale[:, positions])
        return replace(
            self, climate=climate, leads=self.leads[positions], forecast_mean=self.forecast_mean[:, positions]
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """Arrays for a file."""
        return {
            "climate_mean": self.climate.mean,
            "climate_scale": self.climate.scale,
            "forecast_mean": self.forecast_mean,
            "months": self.months,
            "leads": self.leads,
            "numbers": np.array([self.forecast_scale, self.log_spread, self.log_scale, self.year]),
        }

    @classmethod
    def from_arrays(cls, a: dict[str, np.ndarray]) -> Scaling:
        """Undo `arrays`."""
        climate = Climate(a["climate_mean"], a["climate_scale"])
        return cls(climate, a["months"], a["leads"], a["forecast_mean"], *map(float, a["numbers"]))


def _mean(x: np.ndarray) -> np.ndarray:
    present = np.isfinite(x)
    count = present.sum(0)
    return np.where(count > 0, np.where(present, x, 0.0).sum(0, dtype=float) / np.maximum(count, 1), np.nan)


def _mean_log(x: np.ndarray) -> float:
    positive = x[np.isfinite(x) & (x > 0)]
    return float(np.log(positive).mean()) if positive.size else 0.0


def conditions(scaling: Scaling, static: Static, units: str, shape: tuple[int, int]) -> np.ndarray:
    """Make the maps that the coefficients depend on, ``(month, lead, latitude, longitude, channel)``.

    Season of the valid time and of the start, lead, relief and land where given, place in the domain, and the
    logarithm of the truth's scale.
    """
    months, leads = scaling.months, scaling.leads.astype(float)
    full = (months.size, leads.size, *shape)
    start = 2 * np.pi * (months - 1)[:, None] / 12 + 0 * leads
    steps = (leads - 1) / 12 if units == "months" else leads / 365.25
    valid = start + 2 * np.pi * steps
    span = max(np.ptp(leads) / 2, 0.5)
    lead = np.broadcast_to((leads - leads.mean()) / span, start.shape)
    by_time = [np.sin(valid), np.cos(valid), np.sin(start), np.cos(start), lead]
    maps = [np.broadcast_to(x[:, :, None, None], full) for x in by_time]
    rows, columns = (np.linspace(-1, 1, n) for n in shape)
    place = np.meshgrid(rows, columns, indexing="ij")
    maps += [np.broadcast_to(field, full) for field in (*scaled_statics(static), *place)]
    scale = np.log(scaling.climate.scale) - scaling.log_scale
    maps.append(np.where(np.isfinite(scale), scale, 0.0))
    return np.stack(maps, axis=-1).astype("float32")


def scaled_statics(static: Static) -> list[np.ndarray]:
    """Orography in km, its roughness in half km, land fraction: those that are given."""
    units = ((static.orography, 1000.0), (static.roughness, 500.0), (static.land, 1.0))
    return [field.values / unit for field, unit in units if field is not None]


def predictors(scaling: Scaling, given: Moments, area: np.ndarray) -> np.ndarray:
    """Terms that enter linearly, ``(start, lead, latitude, longitude, 4)`` in float32.

    Anomaly of the ensemble mean, its mean over the domain, decades since the mean training year, and one.
    """
    anomaly = (given.mean - scaling.forecast_mean[scaling.positions(given.months)]) / scaling.forecast_scale
    anomaly = np.where(np.isfinite(anomaly), anomaly, 0.0).astype("float32")
    domain = (anomaly * (area / area.mean())).mean((-2, -1), keepdims=True)
    decade = ((given.years - scaling.year) / 10)[:, None, None, None]
    terms: list[Any] = [anomaly, domain, decade, 1.0]
    return np.stack([np.broadcast_to(t, anomaly.shape) for t in terms], axis=-1).astype("float32")


def spread_input(scaling: Scaling, given: Moments) -> np.ndarray:
    """Logarithm of the spread about its mean, ``(start, lead, latitude, longitude, 1)``; 0 without one."""
    positive = given.deviation > 0
    logs = np.log(np.where(positive, given.deviation, 1.0)) - scaling.log_spread
    return np.where(positive, logs, 0.0)[..., None].astype("float32")
