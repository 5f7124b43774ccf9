"""The networks: their loss against the core's, their baselines, their files; lazy and eager alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.grid import Grid, coarsen_nodes, regrid
from esai_core.synthetic import toy_season
from esai_seasonal.config import TrainSection
from esai_seasonal.data import Static, on_fine_grid
from esai_seasonal.network.bicubic import bicubic, keys_matrix
from esai_seasonal.network.climate import Sums, circular_smoother, harmonic_smoother
from esai_seasonal.network.superresolution import SuperResolution, groups_of

QUICK = TrainSection(epochs=4, batch_size=16, seed=1)


@pytest.fixture(scope="module")
def season() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray, Static]:
    from esai_core.hindcast import match_reference

    toy = toy_season(seed=1, coarse=(3, 4), years=14, leads=2, members=6, start_months=(1, 4, 7, 10))
    truth = match_reference(toy.hindcast, toy.reference)
    static = Static(toy.static_fine["orog"], None, toy.static_fine["lsm"])
    return toy.hindcast, on_fine_grid(toy.hindcast, Grid.from_dataset(truth)), truth, static


@pytest.fixture(scope="module")
def network(season, tmp_path_factory: pytest.TempPathFactory):
    from esai_seasonal.network.correction import CorrectionNetwork

    _, fine, truth, static = season
    early = {"start": slice(0, 44)}
    return CorrectionNetwork.fit(
        fine.isel(early),
        truth.isel(early),
        static=static,
        kind="additive",
        config=QUICK,
        networks=1,
        width=4,
        folder=tmp_path_factory.mktemp("network"),
    )


def test_the_loss_is_that_of_the_members_written_out() -> None:
    from esai_core.nn import make_loss
    from esai_seasonal.network import varying

    rng = np.random.default_rng(0)
    base, truth, output = (
        rng.normal(size=(2, 3, 4)),
        rng.normal(size=(2, 3, 4)),
        rng.normal(size=(2, 3, 4, 2)),
    )
    scale = rng.uniform(0.5, 2, (2, 3, 4))
    truth[0, 1, 2] = np.nan
    area = rng.uniform(0.5, 1.5, (3, 4))
    z = varying.normal_members(9)
    target = np.stack([base, scale, truth], -1).astype("float32")
    ours = np.asarray(varying.crps_l1(area, z)(target, output.astype("float32")))
    centre, spread = base + scale * output[..., 0], scale * np.exp(output[..., 1])
    members = centre[:, None] + spread[:, None] * z[None, :, None, None]
    theirs = make_loss("crps_l1", weights=area, l1=0.5)
    want = theirs(truth[..., None].astype("float32"), members[..., None].astype("float32"))
    np.testing.assert_allclose(ours, np.asarray(want), rtol=1e-5)


@pytest.mark.parametrize(
    "shape",
    [
        {"conditions": 11, "predictors": 4, "spread": 1},
        {"conditions": 5, "predictors": 3, "filters": 6},
        {"conditions": 5, "predictors": 3, "filters": 6, "noise": 4, "member": True},
    ],
    ids=["correction", "super-resolution", "adversarial"],
)
def test_every_network_gives_the_same_numbers_from_onnx(tmp_path: Path, shape: dict[str, int]) -> None:
    from esai_core import nn
    from esai_core.training import predict
    from esai_seasonal.network import varying

    rng = np.random.default_rng(5)
    model = varying.build(**shape)
    model.set_weights([rng.normal(scale=0.3, size=w.shape).astype("f4") for w in model.get_weights()])
    inputs = {t.name: rng.normal(size=(3, 13, 17, t.shape[-1])).astype("f4") for t in model.inputs}
    expected = predict(model, inputs, batch_size=2)
    again = nn.OnnxModel(nn.export_onnx(model, tmp_path / "model.onnx")).predict(inputs, batch_size=2)
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_an_untrained_network_gives_its_baseline() -> None:
    from esai_seasonal.network import varying

    model = varying.build(5, 4, spread=1, filters=2)
    rng = np.random.default_rng(0)
    inputs = {
        k: rng.normal(size=(2, 6, 7, c)) for k, c in (("conditions", 5), ("predictors", 4), ("spread", 1))
    }
    np.testing.assert_array_equal(np.asarray(model(inputs)), 0)


def test_the_network_is_linear_in_its_predictors() -> None:
    from esai_seasonal.network import varying

    model = varying.build(3, 2, filters=2)
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    c, a, b = (rng.normal(size=(1, 6, 7, n)).astype("float32") for n in (3, 2, 2))

    def f(t: np.ndarray) -> np.ndarray:
        return np.asarray(model({"conditions": c, "predictors": t}))

    np.testing.assert_allclose(f(2 * a - 3 * b), 2 * f(a) - 3 * f(b), rtol=1e-3, atol=1e-3)


def test_a_climatology_without_a_year_is_that_of_the_others() -> None:
    rng = np.random.default_rng(2)
    truth, month = rng.normal(280, 3, (60, 2, 3, 4)), np.tile(np.arange(1, 13), 5)
    truth[7, 1] = np.nan
    own = np.arange(60) // 12 == 2
    less = Sums.of(truth, month).without(truth[own], month[own]).climate()
    only = Sums.of(truth[~own], month[~own]).climate()
    np.testing.assert_allclose(less.mean, only.mean, rtol=1e-10)
    np.testing.assert_allclose(less.scale, only.scale, rtol=1e-8)


@pytest.mark.parametrize("months", [np.arange(1, 13), np.array([2, 5, 8, 11]), np.array([1])])
def test_smoothers_keep_a_constant(months: np.ndarray) -> None:
    projection = harmonic_smoother(months)
    np.testing.assert_allclose(projection @ projection, projection, atol=1e-12)
    for matrix in (projection, circular_smoother(months)):
        np.testing.assert_allclose(matrix @ np.ones(months.size), 1, atol=1e-12)


@pytest.mark.parametrize("months", [(1, 7), (2, 5, 8, 11), tuple(range(1, 13))])
def test_a_climatology_keeps_the_seasons(months: tuple[int, ...]) -> None:
    month = np.tile(months, 6)
    season = 10 * np.cos(2 * np.pi * month / 12)[:, None, None, None]
    truth = 280 + season + 0.01 * np.random.default_rng(4).normal(size=(month.size, 1, 2, 2))
    found = Sums.of(truth, month).climate().mean
    want = np.broadcast_to(
        280 + 10 * np.cos(2 * np.pi * np.array(months) / 12)[:, None, None, None], found.shape
    )
    np.testing.assert_allclose(found, want, atol=0.05)


def test_the_network_beats_its_baseline_on_years_it_never_saw(season, network) -> None:
    hindcast, fine, truth, _ = season
    late = {"start": slice(44, None)}
    out = network.predict(hindcast.isel(late), fine.isel(late))
    assert out.dims == fine.dims
    at = network.scaling.positions(fine.indexes["start"][44:].month)
    climate = truth.isel(late).copy(data=network.scaling.climate.mean[at])
    ours = float(((out.mean("number") - truth.isel(late)) ** 2).mean())
    assert ours < float(((climate - truth.isel(late)) ** 2).mean())


def test_saved_is_loaded_and_lazy_is_eager(season, network, tmp_path: Path) -> None:
    from esai_seasonal.network import load_network

    hindcast, fine, _, _ = season
    some = {"start": slice(40, 48)}
    want = network.predict(hindcast.isel(some), fine.isel(some))
    network.save(tmp_path / "n")
    again = load_network(tmp_path / "n").predict(hindcast.isel(some), fine.isel(some))
    xr.testing.assert_allclose(again, want, rtol=1e-6)
    lazy = network.predict(hindcast.isel(some), fine.isel(some).chunk(latitude=4, lead=1))
    assert lazy.chunks is not None
    xr.testing.assert_allclose(lazy.compute(), want, rtol=1e-5)


def test_any_number_of_members_and_missing_ones(season, network) -> None:
    hindcast, fine, _, _ = season
    some = {"start": slice(40, 44)}
    few = fine.isel(some).isel(number=slice(4))
    padded = xr.concat([few, xr.full_like(few, np.nan).assign_coords(number=np.arange(10, 14))], "number")
    out = network.predict(hindcast.isel(some), padded)
    assert np.isnan(out.isel(number=slice(4, None))).all()
    xr.testing.assert_allclose(
        out.isel(number=slice(4)), network.predict(hindcast.isel(some), few), rtol=1e-5
    )


def test_an_unknown_lead_or_month_is_refused(season, network) -> None:
    hindcast, fine, _, _ = season
    with pytest.raises(InputError, match="lead"):
        network.predict(hindcast, fine.assign_coords(lead=fine.lead + 5))
    moved = fine.assign_coords(start=fine.start + np.timedelta64(40, "D"))
    with pytest.raises(InputError, match="start months"):
        network.predict(hindcast, moved)


def test_bicubic_is_exact_for_quadratic_fields_inside() -> None:
    matrix = keys_matrix(7, 4)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(matrix[::4], np.eye(7), atol=1e-12)
    x = np.arange(25) / 4
    np.testing.assert_allclose((matrix @ np.arange(7.0) ** 2)[4:-4], (x**2)[4:-4], atol=1e-10)


def _hourly(days: int = 6) -> xr.DataArray:
    """Fields whose residual on bilinear interpolation depends on the hour alone."""
    rng = np.random.default_rng(3)
    grid = Grid(40 + np.arange(9) / 4, np.arange(13) / 4)
    nodes = xr.DataArray(
        rng.normal(280, 5, (24 * days, 3, 4)),
        dims=("time", "latitude", "longitude"),
        coords={
            "time": xr.date_range("2019-03-01", periods=24 * days, freq="h", use_cftime=False),
            "latitude": grid.latitude[::4],
            "longitude": grid.longitude[::4],
        },
        attrs={"units": "K"},
    )
    smooth = regrid(nodes, grid)
    bump = rng.normal(size=(24, 9, 13))
    bump[:, ::4, ::4] = 0
    return smooth + bump[smooth["time"].dt.hour.values]


def test_residual_climatology_finds_what_depends_on_the_hour() -> None:
    fine = _hourly()
    fitted = SuperResolution.fit(fine.isel(time=slice(0, 96)), factor=4)
    rest = fine.isel(time=slice(96, None))
    out = fitted.predict(coarsen_nodes(rest, 4), rest["time"].values, method="residual_climatology")
    np.testing.assert_allclose(out.values, rest.values, atol=1e-3)
    assert fitted.methods == ("bilinear", "bicubic", "residual_climatology")
    with pytest.raises(UsageError, match="network"):
        fitted.predict(coarsen_nodes(rest, 4), rest["time"].values, method="network")


def test_super_resolution_is_saved_and_checks_its_nodes(tmp_path: Path) -> None:
    fine = _hourly(3)
    fitted = SuperResolution.fit(fine, factor=4).train(
        fine, config=QUICK, networks=1, width=4, folder=tmp_path / "t"
    )
    fitted.save(tmp_path / "s")
    coarse = coarsen_nodes(fine, 4)
    times = fine["time"].values
    again = SuperResolution.load(tmp_path / "s").predict(coarse, times)
    xr.testing.assert_allclose(again, fitted.predict(coarse, times), rtol=1e-6)
    with pytest.raises(InputError, match="every 4th"):
        fitted.predict(coarse.isel(longitude=slice(2)), times)
    with pytest.raises(InputError, match="hour"):
        SuperResolution.fit(fine.isel(time=slice(0, 12)), factor=4).predict(
            coarse, times, method="residual_climatology"
        )


def test_bicubic_fills_gaps_before_it_interpolates() -> None:
    coarse = coarsen_nodes(_hourly(1), 4).copy()
    coarse[:, 1, 1] = np.nan
    out = bicubic(coarse, Grid(40 + np.arange(9) / 4, np.arange(13) / 4), 4)
    assert out.notnull().all()


def test_classes_of_times() -> None:
    times = np.array(["2019-03-01T05", "2020-12-31T23"], "datetime64[ns]")
    assert groups_of(times, "hour").tolist() == [5, 23]
    assert groups_of(times, "month").tolist() == [2, 11]
