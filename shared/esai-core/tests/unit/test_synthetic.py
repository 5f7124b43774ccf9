"""The toy Earth must have the properties that it claims, found by estimates that do not know them."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core.errors import UsageError
from esai_core.grid import Alignment, Grid, alignment, coarsen_nodes, regrid
from esai_core.hindcast import anomalies, climatology, drift, ensemble_mean, match_reference
from esai_core.io import check_plausible, open_hindcast, open_reference, write_netcdf
from esai_core.synthetic import as_new_cds, correlated_fields, relief, station_network, toy_season

LONG = {"coarse": (5, 6), "factor": 2, "years": 60, "trend": 0.0, "model_trend": 0.0}


@pytest.fixture(scope="module")
def season():
    return toy_season(seed=1)


@pytest.fixture(scope="module")
def long():
    """Long, with many members, no trends: estimates are sharp."""
    return toy_season(seed=2, members=40, **LONG)


def matched(season):
    return match_reference(season.hindcast, coarsen_nodes(season.reference, 4))


def test_the_same_seed_gives_the_same_earth_and_another_another(season):
    again = toy_season(seed=1)
    xr.testing.assert_identical(again.hindcast, season.hindcast)
    xr.testing.assert_identical(again.reference, season.reference)
    assert not toy_season(seed=3, years=2).reference.equals(toy_season(seed=4, years=2).reference)


def test_shape_and_units(season):
    assert season.hindcast.shape == (360, 3, 10, 7, 9)
    assert season.reference.shape[1:] == (25, 33)
    coarse, fine = Grid.from_dataset(season.hindcast), Grid.from_dataset(season.reference)
    assert alignment(coarse, fine) == Alignment("node", 4)
    for da in (season.hindcast, season.reference):
        check_plausible(da, "temperature")
        assert not da.isnull().any()
    assert season.static_coarse.orog.attrs["units"] == "m"
    assert 0.5 < float(season.static_fine.lsm.mean()) < 0.8


def test_mean_error_is_recovered(season):
    found = drift(season.hindcast, matched(season))
    error = found - season.mean_error
    # what remains is sampling: the mean of 30 years of forecast minus truth
    rho = season.skill
    noise = (1 - rho**2) ** 2 + rho**2 * (1 - rho**2) + (0.7**2) * (1 - rho**2) / 10
    expected = season.sigma * np.sqrt(noise / 30)
    rms = np.sqrt((error**2).mean(("month", "latitude", "longitude")))
    np.testing.assert_allclose(rms, expected, rtol=0.25)
    assert float(season.mean_error.std()) > 1
    by_lead = found.mean(("month", "latitude", "longitude"))
    np.testing.assert_allclose(by_lead.diff("lead"), 0.5, atol=0.1)


def test_trends_are_recovered():
    season = toy_season(seed=5, years=60, trend=0.05, model_trend=0.02, members=4)
    annual = season.reference.groupby("time.year").mean(("time", "latitude", "longitude"))
    assert np.polyfit(annual.year, annual, 1)[0] == pytest.approx(0.05, abs=0.008)
    model = season.hindcast.groupby("start.year").mean(("start", "lead", "number", "latitude", "longitude"))
    assert np.polyfit(model.year, model, 1)[0] == pytest.approx(0.02, abs=0.008)


def test_skill_is_recovered_per_lead(long):
    truth = match_reference(long.hindcast, coarsen_nodes(long.reference, 2))
    mean = ensemble_mean(long.hindcast)
    a, b = (anomalies(da, climatology(da)) for da in (mean, truth))
    dims = ("start", "latitude", "longitude")
    found = (a * b).mean(dims) / np.sqrt((a**2).mean(dims) * (b**2).mean(dims))
    rho = long.skill
    expected = rho / np.sqrt(1 + 0.49 * (1 - rho**2) / (40 * rho**2))
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert (np.diff(found) < 0).all()


def test_spread_is_recovered(long):
    found = np.sqrt(long.hindcast.var("number", ddof=1).mean(("start", "latitude", "longitude")))
    np.testing.assert_allclose(found, 0.7 * long.sigma * np.sqrt(1 - long.skill**2), rtol=0.02)


def test_a_spread_ratio_of_one_is_reliable():
    season = toy_season(seed=7, members=9, spread_ratio=1.0, **LONG)
    truth = match_reference(season.hindcast, coarsen_nodes(season.reference, 2))
    error = ensemble_mean(season.hindcast) - truth
    error = anomalies(error, climatology(error)) * np.sqrt(60 / 59)
    dims = ("start", "latitude", "longitude")
    spread = np.sqrt(season.hindcast.var("number", ddof=1).mean(dims))
    np.testing.assert_allclose(np.sqrt((error**2).mean(dims)), spread * np.sqrt(10 / 9), rtol=0.04)


def test_relief_makes_interpolation_worse_than_its_own_residual(season):
    """The fine relief is missing from the coarse field: a correction has something to find."""
    ref = season.reference
    up = regrid(coarsen_nodes(ref, 4), ref)
    residual = ref - up
    fixed = residual.groupby("time.month") - residual.groupby("time.month").mean()
    assert float((fixed**2).mean()) < 0.2 * float((residual**2).mean())


def test_missing_seas_and_members():
    season = toy_season(seed=1, years=4, sea_missing=True, fewer_members=(1982, 6))
    sea = (season.static_fine.lsm < 0.5).values
    np.testing.assert_array_equal(season.reference.isnull().any("time"), sea)
    assert sea.any()
    land = season.static_coarse.lsm.values > 0.5
    there = season.hindcast.notnull().all(("lead",)).values[..., land].all(-1)
    early = season.hindcast.start.dt.year.values <= 1982
    assert there[early, :6].all()
    assert not there[early, 6:].any()
    assert there[~early].all()


def test_it_goes_through_files_as_the_real_data_do(season, tmp_path):
    write_netcdf(as_new_cds(season.hindcast), tmp_path / "h.nc")
    write_netcdf(season.reference.rename(time="valid_time"), tmp_path / "r.nc")
    xr.testing.assert_equal(open_hindcast(tmp_path / "h.nc", variable="t2m"), season.hindcast)
    np.testing.assert_array_equal(open_reference(tmp_path / "r.nc", variable="t2m"), season.reference)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(UsageError, match=r"skill 1\.5"):
        toy_season(skill=1.5)


@pytest.mark.parametrize("length", [1.5, 4.0])
def test_fields_have_unit_variance_and_the_correlation_they_claim(length):
    fields = correlated_fields(np.random.default_rng(0), 4000, (12, 14), length=length)
    np.testing.assert_allclose(fields.var(0), 1.0, atol=0.12)
    for distance in (1, 2, 4):
        along = np.mean(fields[:, :, distance:] * fields[:, :, :-distance])
        across = np.mean(fields[:, distance:] * fields[:, :-distance])
        expected = np.exp(-((distance / length) ** 2))
        assert along == pytest.approx(expected, abs=0.03)
        assert across == pytest.approx(expected, abs=0.03)
    assert abs(np.mean(fields[:, 0, 0] * fields[:, 0, -1])) < 0.06  # edges do not meet


def test_relief_of_given_height_and_share():
    out = relief(np.random.default_rng(0), Grid(np.arange(40.0), np.arange(50.0)), height=1800.0, land=0.4)
    assert float(out.orog.max()) == pytest.approx(1800)
    assert float(out.lsm.mean()) == pytest.approx(0.4, abs=0.01)
    assert (out.orog.where(out.lsm == 0, 0) == 0).all()
    assert (relief(np.random.default_rng(0), Grid(np.arange(9.0), np.arange(9.0)), land=1.0).lsm == 1).all()


def test_stations_observe_the_field_at_their_own_altitude(season):
    options = {"count": 30, "seed": 1, "noise": 0.2, "missing": 0.1}
    net = station_network(season.reference, season.static_fine.orog, **options)
    assert net.t2m.dims == ("station", "time")
    assert float(net.t2m.isnull().mean()) == pytest.approx(0.1, abs=0.02)
    lat, lon = net.latitude, net.longitude
    there = season.reference.interp(latitude=lat, longitude=lon)
    ground = season.static_fine.orog.interp(latitude=lat, longitude=lon)
    error = net.t2m - there + 0.0065 * (net.altitude - ground)
    assert float(error.std()) == pytest.approx(0.2, rel=0.05)
    assert abs(float(error.mean())) < 0.01
    again = station_network(season.reference, season.static_fine.orog, **options)
    xr.testing.assert_identical(again, net)
