"""A full-layout challenge case made from a seed, with the scores it must have."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from esai_s2s.sample import Sample
from esai_s2s.windows import valid_days

CATEGORIES = ["below normal", "near normal", "above normal"]
OFFICIAL = 0.21234250301297827
STRICT_THIRD = -0.41853


def case(seed: int = 0) -> tuple[xr.Dataset, xr.Dataset]:
    """Return observations and forecast (category, forecast_time, lead_time, latitude, longitude)."""
    rng = np.random.default_rng(seed)
    dims = ("category", "forecast_time", "lead_time", "latitude", "longitude")
    coords = {
        "category": CATEGORIES,
        "forecast_time": np.datetime64("2020-01-02", "ns") + 7 * np.arange(53) * np.timedelta64(1, "D"),
        "lead_time": np.array([14, 28], dtype="timedelta64[D]").astype("timedelta64[ns]"),
        "latitude": np.arange(90, -90.1, -1.5),
        "longitude": np.arange(0, 360, 1.5),
    }
    land = rng.random((121, 240)) < 0.35
    dry = rng.random((121, 240)) < 0.15
    category = rng.integers(0, 3, (2, 53, 2, 121, 240))
    noise = rng.dirichlet([3, 3, 3], (2, 53, 2, 121, 240))
    observed, forecast = {}, {}
    for i, (name, mask, weight) in enumerate([("t2m", land, 0.15), ("tp", land & ~dry, 0.08)]):
        truth = np.moveaxis(np.eye(3)[category[i]], -1, 0)
        blur = 0.8 * np.full(truth.shape, 1 / 3) + 0.2 * np.moveaxis(noise[i], -1, 0)
        observed[name] = (dims, np.where(mask, truth, np.nan))
        forecast[name] = (dims, (1 - weight) * blur + weight * truth)
    return xr.Dataset(observed, coords), xr.Dataset(forecast, coords)


@pytest.fixture(scope="session")
def golden() -> tuple[xr.Dataset, xr.Dataset]:
    return case()


def toy_sample(
    *,
    n_years: int = 8,
    per_year: int = 20,
    members: int = 5,
    cells: int = 3,
    skill: float = 0.7,
    seed: int = 0,
) -> Sample:
    """Return winters of a normal variable that an ensemble foresees with a known correlation."""
    rng = np.random.default_rng(seed)
    starts = np.concatenate(
        [np.datetime64(f"{2000 + y}-11-01") + 7 * np.arange(per_year) for y in range(n_years)]
    ).astype("datetime64[ns]")
    truth = rng.normal(size=(len(starts), cells))
    signal = skill * truth + np.sqrt(1 - skill**2) * rng.normal(size=truth.shape)
    forecast = signal[:, None] + rng.normal(size=(len(starts), members, cells)) + 2.0
    return Sample(
        variable="x",
        window="14d",
        kind="normal",
        starts=starts,
        valid=valid_days(starts, 14, 27),
        observed=truth,
        forecast=forecast,
        latitude=np.linspace(-10, 50, cells),
        longitude=np.linspace(0, 100, cells),
    )


@pytest.fixture
def sample() -> Sample:
    return toy_sample()


@pytest.fixture
def make_sample() -> Callable[..., Sample]:
    return toy_sample
