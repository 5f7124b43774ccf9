"""A made-up Earth in the layout of the S2S AI challenge, made latitude by latitude so that any part is cheap.

A few planetary modes, which the forecast foresees less well in weeks 5-6, are laid over local weather, which
it does not foresee; its members are biased and too confident, and the sea is masked in the observations.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
import xarray as xr

from esai_s2s.config import SyntheticConfig

__all__ = ["land_mask", "make_fields", "synthetic_grid", "synthetic_starts"]

MODES = 6
SHARE_OF_LAND = 0.3
FORESEEN = 0.75
"""Correlation of a mode with its forecast in the first window; squared in the second, and so on."""


def synthetic_grid(spec: SyntheticConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return latitudes, from north to south, and longitudes, from 0, in degrees."""
    number = round(180.0 / spec.spacing)
    return np.linspace(90.0, -90.0, number + 1), np.arange(round(360.0 / spec.spacing)) * spec.spacing


def synthetic_starts(spec: SyntheticConfig) -> np.ndarray:
    """Return the starts, (years * 53,) datetime64[ns]: every seven days from 2 January of each year on."""
    first = [np.datetime64(f"{spec.first_year + year}-01-02") for year in range(spec.years)]
    return np.concatenate([day + 7 * np.arange(53) for day in first]).astype("datetime64[ns]")


def _harmonics(rng: np.random.Generator, latitude: np.ndarray, longitude: np.ndarray, top: int) -> np.ndarray:
    """Return a smooth random field (latitude, longitude) of zonal waves 0 to `top`, with variance about 1."""
    y, x = np.deg2rad(latitude)[:, None], np.deg2rad(longitude)[None]
    field = np.zeros((len(latitude), len(longitude)))
    power = 0.0
    for wave in range(top + 1):
        for meridional in range(1, top + 1):
            size = 1.0 / (1.0 + wave + meridional)
            phase_x, phase_y = rng.uniform(0, 2 * np.pi, 2)
            envelope = np.cos(y) ** min(wave, 2)  # no waves at the poles
            field += (
                size * rng.normal() * envelope * np.cos(wave * x + phase_x) * np.cos(meridional * y + phase_y)
            )
            power += size**2 / (4.0 if wave else 2.0)
    return field / np.sqrt(power)


@lru_cache(maxsize=8)
def land_mask(spec: SyntheticConfig) -> np.ndarray:
    """Return where there is land, (latitude, longitude) bool, on three tenths of the area."""
    latitude, longitude = synthetic_grid(spec)
    field = _harmonics(np.random.default_rng([spec.seed, 1]), latitude, longitude, 5)
    weight = np.repeat(np.cos(np.deg2rad(latitude)).clip(0.0)[:, None], len(longitude), axis=1)
    order = np.argsort(-field.ravel())
    share = np.cumsum(weight.ravel()[order]) / weight.sum()
    level = field.ravel()[order[np.searchsorted(share, SHARE_OF_LAND)]]
    return np.asarray(field >= level)


def _modes(spec: SyntheticConfig, windows: int, key: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the amplitude of each mode and its forecast, (windows, MODES, starts)."""
    rng = np.random.default_rng([spec.seed, 2, *key])
    count = 53 * spec.years
    noise = rng.normal(size=(MODES, count + 2 * windows))
    walk = np.empty_like(noise)
    walk[:, 0] = noise[:, 0]
    for step in range(1, noise.shape[1]):  # weeks; half of the variance is left after four
        walk[:, step] = 0.84 * walk[:, step - 1] + np.sqrt(1 - 0.84**2) * noise[:, step]
    truth = np.stack([walk[:, 2 * w : 2 * w + count] for w in range(windows)])
    foreseen = FORESEEN ** np.arange(1, windows + 1)[:, None, None]
    return truth, foreseen * truth + np.sqrt(1 - foreseen**2) * rng.normal(size=truth.shape)


def make_fields(
    spec: SyntheticConfig,
    variable: str,
    *,
    kind: str,
    windows: Mapping[str, tuple[int, int]],
    rows: slice,
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the forecast and the truth of some latitudes; the same whichever others are asked for.

    Parameters
    ----------
    spec : SyntheticConfig
        What to make.
    variable : str
        Each has its own weather.
    kind : {"normal", "precipitation"}
        Temperature (K), or totals (mm) that are 0 in dry belts.
    windows : mapping
        Names of the windows, from the nearest on.
    rows : slice
        Latitudes.

    Returns
    -------
    forecast : DataArray (start, number, window, latitude, longitude), float32
    observed : DataArray (start, window, latitude, longitude), float32
        NaN over the sea.
    """
    latitude, longitude = synthetic_grid(spec)
    land = land_mask(spec)
    starts = synthetic_starts(spec)
    key = list(variable.encode())
    truth, foreseen = _modes(spec, len(windows), key)
    rng = np.random.default_rng([spec.seed, 3, *key])
    patterns = np.stack([_harmonics(rng, latitude, longitude, 3) for _ in range(MODES)]) / np.sqrt(MODES)
    chosen = range(len(latitude))[rows]
    shape = (len(starts), len(windows), len(chosen), len(longitude))
    observed = np.empty(shape, dtype=np.float32)
    forecast = np.empty((len(starts), spec.members, *shape[1:]), dtype=np.float32)
    angle = (
        2 * np.pi * ((starts.astype("datetime64[D]") - starts.astype("datetime64[Y]")).astype(int) / 365.25)
    )
    for at, row in enumerate(chosen):
        share = 0.15 + 0.45 * np.cos(np.deg2rad(latitude[row])) ** 2  # of the variance that the modes have
        for w in range(len(windows)):
            noise = np.random.default_rng([spec.seed, 4, *key, row, w])
            local = noise.standard_normal((len(starts), len(longitude)), dtype=np.float32)
            members = noise.standard_normal((len(starts), spec.members, len(longitude)), dtype=np.float32)
            signal = np.sqrt(share) * truth[w].T @ patterns[:, row]
            guess = np.sqrt(share) * foreseen[w].T @ patterns[:, row]
            anomaly = signal + np.sqrt(1 - share) * local
            ensemble = guess[:, None] + 0.8 * np.sqrt(1 - share) * members + 0.3 * patterns[0, row]
            observed[:, w, at] = _weather(anomaly, latitude[row], angle, kind)
            forecast[:, :, w, at] = _weather(ensemble, latitude[row], angle[:, None], kind)
        if not spec.sea:
            observed[:, :, at, ~land[row]] = np.nan
    coords = {
        "start": starts,
        "window": list(windows),
        "latitude": latitude[chosen],
        "longitude": longitude,
    }
    dims = ("start", "window", "latitude", "longitude")
    return (
        xr.DataArray(forecast, coords, ("start", "number", *dims[1:]), name=variable),
        xr.DataArray(observed, coords, dims, name=variable),
    )


def _weather(anomaly: np.ndarray, latitude: float, angle: np.ndarray, kind: str) -> np.ndarray:
    """Return temperature in K, or totals in mm, of standardised anomalies (starts, ..., longitude)."""
    y = np.deg2rad(latitude)
    season = -np.cos(angle)[..., None] * np.sin(y)
    if kind == "precipitation":
        mean = (
            8.0
            + 60.0 * np.exp(-((latitude / 12.0) ** 2))
            + 25.0 * np.exp(-((abs(latitude) / 15.0 - 3.0) ** 2))
        )
        return np.maximum(mean * (np.exp(0.7 * anomaly + 0.3 * season) - 0.45), 0.0)
    return 300.0 - 45.0 * np.sin(y) ** 2 + 18.0 * season + (1.0 + 2.5 * np.sin(y) ** 2) * anomaly
