"""Properties that every classical method has: shapes, gaps, order of cells, dask, non-negativity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esai_core.errors import InputError
from esai_seasonal.methods import METHODS, Correction

ALL = sorted(METHODS)
TEMPERATURE = ("additive", 285.0, 3.0)
RAIN = ("multiplicative", 0.0, 4.0)


def _pair(
    seed: int,
    *,
    years: int = 8,
    months: int = 2,
    leads: int = 2,
    members: int = 5,
    cells: int = 3,
    rain: bool = False,
) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    starts = pd.DatetimeIndex([pd.Timestamp(1990 + y, 1 + m, 1) for y in range(years) for m in range(months)])
    shape = (years * months, leads, members, 2, cells)
    signal = rng.standard_normal((years * months, leads, 2, cells))
    noise = rng.standard_normal(shape)
    forecast, target = 283 + 0.5 * signal[:, :, None] + noise, 286 + signal
    if rain:
        forecast, target = np.maximum(forecast - 283, 0) * 1e-8, np.maximum(target - 285.5, 0) * 1e-8
    coords = {
        "start": starts,
        "lead": ("lead", np.arange(1, leads + 1), {"units": "months"}),
        "number": np.arange(members),
        "latitude": [40.0, 41.0],
        "longitude": np.arange(float(cells)),
    }
    hindcast = xr.DataArray(forecast, dims=tuple(coords), coords=coords, name="x", attrs={"units": "K"})
    reference = xr.DataArray(
        target,
        dims=("start", "lead", "latitude", "longitude"),
        coords={k: v for k, v in coords.items() if k != "number"},
    )
    return hindcast, reference


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_dask_gives_the_numbers_of_numpy(name: str, kind: str, seed: int) -> None:
    hindcast, reference = _pair(seed, rain=kind == "multiplicative")
    fitted = Correction(name, kind).fit(hindcast, reference)
    lazy = Correction(name, kind).fit(
        hindcast.chunk(start=4, lead=1, latitude=1), reference.chunk(start=3, longitude=2)
    )
    assert fitted.parameters is not None
    assert lazy.parameters is not None
    assert lazy.parameters.chunks is not None
    xr.testing.assert_allclose(lazy.parameters.compute(), fitted.parameters, rtol=1e-7)
    out = lazy.predict(hindcast.chunk(start=4, latitude=1))
    assert out.chunks is not None
    xr.testing.assert_allclose(out.compute(), fitted.predict(hindcast), rtol=1e-7)


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=5, deadline=None)
def test_cells_do_not_know_of_each_other(name: str, seed: int) -> None:
    hindcast, reference = _pair(seed)
    order = np.random.default_rng(seed).permutation(3)
    whole = Correction(name).fit(hindcast, reference).predict(hindcast)
    mixed = (
        Correction(name)
        .fit(hindcast.isel(longitude=order), reference.isel(longitude=order))
        .predict(hindcast.isel(longitude=order))
    )
    xr.testing.assert_allclose(mixed, whole.isel(longitude=order), rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["additive", "multiplicative"])
def test_all_nan_and_constant_cells(name: str, kind: str) -> None:
    hindcast, reference = _pair(1, rain=kind == "multiplicative")
    sea = {"latitude": 0, "longitude": 0}
    flat = {"latitude": 1, "longitude": 1}
    hindcast[sea], reference[sea] = np.nan, np.nan
    hindcast[flat], reference[flat] = 3.0, 5.0
    out = Correction(name, kind).fit(hindcast, reference).predict(hindcast)
    assert np.isnan(out.isel(sea)).all()
    want = 3.0 if name == "raw" else 5.0
    np.testing.assert_allclose(out.isel(flat), want, rtol=1e-6)
    assert np.isfinite(out.isel(latitude=1)).all()


@pytest.mark.parametrize("name", [n for n in ALL if not METHODS[n].own_members])
def test_missing_members_stay_missing_and_change_nothing_else(name: str) -> None:
    hindcast, reference = _pair(2)
    padded = xr.concat(
        [hindcast, xr.full_like(hindcast, np.nan).assign_coords(number=np.arange(5, 10))], dim="number"
    )
    few = Correction(name).fit(hindcast, reference).predict(hindcast)
    many = Correction(name).fit(padded, reference).predict(padded)
    assert many.sizes["number"] == 10
    assert np.isnan(many.isel(number=slice(5, None))).all()
    np.testing.assert_allclose(many.isel(number=slice(5)), few, rtol=1e-9)


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("raw", "climatology")])
def test_a_year_without_truth_is_left_out(name: str) -> None:
    hindcast, reference = _pair(3, months=1)
    gone = reference.copy()
    gone[{"start": 2}] = np.nan
    keep = [0, 1, 3, 4, 5, 6, 7]
    a = Correction(name).fit(hindcast, gone).predict(hindcast)
    few = hindcast.isel(start=keep)
    b = Correction(name).fit(few, reference.isel(start=keep)).predict(hindcast)
    if name in (
        "mean_variance",
        "eqm",
        "qdm",
    ):  # the forecast's own distribution is not paired: it keeps the year
        assert np.isfinite(a).all()
    elif name in ("mlr", "emos", "trend_bias", "trend_climatology"):
        # the mean is that of the fit without the year; the centring year cancels
        np.testing.assert_allclose(a.mean("number"), b.mean("number"), rtol=2e-3)
    else:
        np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_rain_is_never_negative(name: str, seed: int) -> None:
    hindcast, reference = _pair(seed, rain=True)
    out = Correction(name, "multiplicative").fit(hindcast, reference).predict(hindcast)
    assert (out >= 0).all()
    assert float(out.max()) < 100 * float(max(reference.max(), hindcast.max())) + 1e-12


def test_quantile_mapping_gives_rain_its_dry_frequency() -> None:
    hindcast, reference = _pair(4, years=60, months=1, leads=1, members=10, rain=True)
    out = Correction("eqm", "multiplicative").fit(hindcast, reference).predict(hindcast)
    assert float((out == 0).mean()) == pytest.approx(float((reference == 0).mean()), abs=0.05)
    wetter = (
        Correction("eqm", "multiplicative").fit(hindcast, hindcast.isel(number=0) + 1e-8).predict(hindcast)
    )
    assert float((wetter <= 0).mean()) < 0.02


@pytest.mark.parametrize("name", ALL)
def test_saved_is_loaded(name: str, tmp_path: Path) -> None:
    hindcast, reference = _pair(5)
    fitted = Correction(name).fit(hindcast, reference)
    fitted.save(tmp_path / "m.npz")
    again = Correction.load(tmp_path / "m.npz")
    xr.testing.assert_identical(again.predict(hindcast), fitted.predict(hindcast))


def test_predicting_what_was_not_fitted_is_refused() -> None:
    hindcast, reference = _pair(6)
    fitted = Correction("mean_bias").fit(hindcast, reference)
    with pytest.raises(InputError, match="start months"):
        fitted.predict(hindcast.assign_coords(start=hindcast.start + np.timedelta64(150, "D")))
    with pytest.raises(InputError, match="leads"):
        fitted.predict(hindcast.assign_coords(lead=hindcast.lead + 4))
    with pytest.raises(InputError, match="longitudes"):
        fitted.predict(hindcast.assign_coords(longitude=hindcast.longitude + 1))
    with pytest.raises(InputError, match="training starts"):
        Correction("mlr").fit(hindcast.isel(start=slice(6)), reference.isel(start=slice(6)))
