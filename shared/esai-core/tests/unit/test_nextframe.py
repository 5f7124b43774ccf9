"""Forecasts of the next field: the split in time, damping, and what a network may see."""

from __future__ import annotations

import cloudpickle
import numpy as np
import pytest
import xarray as xr

from esai_core.config import load_config
from esai_core.errors import InputError, UsageError
from esai_core.tasks import scratch
from esai_core.tasks.nextframe import work as work_module
from esai_core.tasks.nextframe.baselines import Damping, lagged_pairs
from esai_core.tasks.nextframe.config import NextframeConfig
from esai_core.tasks.nextframe.demo import prepare, toy_series
from esai_core.tasks.nextframe.forecasts import Forecasts, calibrate
from esai_core.tasks.nextframe.network import Windows, examples, targets
from esai_core.tasks.nextframe.work import blocks_of, prepare_work
from esai_core.uncertainty import SplitConformal


@pytest.fixture
def config(tmp_path):
    return load_config(prepare(tmp_path), NextframeConfig)


def test_damping_is_the_lagged_regression():
    rng = np.random.default_rng(0)
    a = np.zeros((20000, 1, 2))
    for t in range(1, 20000):
        a[t] = [0.9, -0.5] * a[t - 1] + rng.normal(size=(1, 2))
    damping = Damping.fit(a, np.arange(20000), [1, 3])
    np.testing.assert_allclose(damping.factors[:, 0, 0], [0.9, 0.729], atol=0.03)
    assert not damping.factors[:, 0, 1].any()  # an anomaly that turns over is not carried on
    np.testing.assert_allclose(damping.forecast(a, np.array([7]))[0, 1], a[7] * damping.factors[1])
    now, later = lagged_pairs(np.array([3, 4, 5, 9]), 1)
    assert (now.tolist(), later.tolist()) == ([3, 4], [4, 5])


@pytest.fixture
def work(config, tmp_path):
    return prepare_work(config, tmp_path / "series")


def test_parts_share_no_time(config, work):
    window, longest = config.network.window, max(config.leads)
    spans = [(part[0] - window + 1, part[-1] + longest) for part in (work.train, work.choose, work.test)]
    assert spans[0][0] == 0
    assert spans[0][1] < spans[1][0]
    assert spans[1][1] < spans[2][0]
    assert spans[2][1] == work.field.sizes["time"] - 1
    assert work.fitted[-1] == spans[0][1]


def test_nothing_after_the_training_part_is_fitted(config, work, tmp_path, monkeypatch):
    last = int(work.fitted[-1])
    poisoned = work.field.copy(deep=True)
    poisoned[last + 1 :] = 1e6
    monkeypatch.setattr(work_module, "open_field", lambda *args, **options: poisoned)
    after = prepare_work(config, tmp_path / "poisoned")
    np.testing.assert_array_equal(work.cycle.levels, after.cycle.levels)
    assert work.scale == after.scale
    np.testing.assert_array_equal(work.anomalies[: last + 1], after.anomalies[: last + 1])
    assert after.anomalies[last + 1 :].min() > 1e4
    one, other = (Damping.fit(each.anomalies, each.fitted, config.leads) for each in (work, after))
    np.testing.assert_array_equal(one.factors, other.factors)


def test_anomalies_are_those_of_the_series_in_memory(config, work):
    """Against the plain computation on the whole array."""
    field = work.field.load()
    first = field.isel(time=work.fitted)
    level = first.groupby("time.hour").mean(dtype="f8").sel(hour=field["time"].dt.hour).drop_vars("hour")
    away = (field - level).values
    np.testing.assert_allclose(work.scale, away[work.fitted].std(), rtol=1e-5)
    np.testing.assert_allclose(work.anomalies[:], away / work.scale, atol=1e-4)


def test_blocks_do_not_change_what_is_fitted(config, work, tmp_path, monkeypatch):
    cells = work.land.size
    monkeypatch.setattr(scratch, "BLOCK_BYTES", 4 * cells * 7)
    again = prepare_work(config, tmp_path / "again")
    np.testing.assert_array_equal(work.anomalies[:], again.anomalies[:])
    one, other = (Damping.fit(work.anomalies[:], work.fitted, config.leads) for each in (work, again))
    np.testing.assert_array_equal(one.factors, other.factors)


def test_a_cell_with_a_gap_is_left_out(config, tmp_path, monkeypatch):
    path = tmp_path / "field.nc"
    field = xr.load_dataset(path, engine="netcdf4")["t2m"]
    field[300, 2, 3] = np.nan  # in the test part
    field[5, 4, 4] = np.nan
    field.to_netcdf(path, engine="netcdf4")
    work = prepare_work(config, tmp_path / "series")
    assert np.argwhere(work.land).tolist() == [[2, 3], [4, 4]]
    assert not work.anomalies[:][:, work.land].any()
    assert np.isnan(work.truth(work.test)[..., work.land]).all()
    assert work.scale == pytest.approx(work.anomalies[:][work.fitted][:, ~work.land].std() * work.scale, 1e-5)


@pytest.mark.parametrize("kind", ["convlstm", "unet"])
def test_a_network_sees_the_window_and_nothing_later(config, work, kind):
    damping = Damping.fit(work.anomalies, work.fitted, config.leads)
    starts = np.array([20, 31])
    options = {"kind": kind, "window": 4}
    first = examples(work.anomalies, work.land, work.phases, starts, damping, **options)
    poisoned = work.anomalies[:]
    poisoned[32:] = 1e6
    poisoned[21:28] = poisoned[:17] = 1e6
    second = examples(poisoned, work.land, work.phases, starts, damping, **options)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert first["baseline"].shape == (2, *work.anomalies.shape[1:], len(config.leads))
    truth = targets(work.anomalies, work.land, starts, config.leads)
    np.testing.assert_array_equal(truth[1, ..., 2], work.anomalies[37])


def test_examples_reach_worker_processes_as_a_path(config, work):
    damping = Damping.fit(work.anomalies, work.fitted, config.leads)
    source = Windows(work.anomalies, work.land, work.phases, work.train, damping, "unet", 4)
    sent = cloudpickle.dumps(source)
    assert len(sent) < work.anomalies[:].nbytes / 4
    numbers = np.array([5, 0, 17])
    inputs, asked = cloudpickle.loads(sent).read(numbers)
    np.testing.assert_array_equal(inputs["fields"][1, ..., 3], work.anomalies[work.train[0]])
    np.testing.assert_array_equal(asked[2, ..., 1], work.anomalies[work.train[17] + 3])
    assert sorted(source.order(1, 0)) == list(range(len(work.train)))


def test_truths_lie_at_their_valid_time(work):
    truth = work.truth(work.test[3:9])
    assert truth.shape == (6, len(work.leads), *work.land.shape)
    at = work.field["time"].values[work.test[5]] + np.timedelta64(6, "h")
    np.testing.assert_array_equal(truth[2, work.leads.index(6)], work.field.sel(time=at).values)
    late = work.climatology(work.test[3:9])[2, work.leads.index(6)]
    np.testing.assert_array_equal(late, work.cycle.at(np.array([at]))[0])


def test_intervals_are_calibrated_per_cell_and_lead_in_rows_of_the_grid(config, work, tmp_path, monkeypatch):
    damping = Damping.fit(work.anomalies, work.fitted, config.leads)
    made = Forecasts(work, work.choose, damping, {}, ["damped"])
    tested = made.dataset().compute()
    whole = SplitConformal(coverage=config.coverage).fit(
        tested["truth"].values, tested["damped"].values, blocks=blocks_of(work.choose, config)
    )
    monkeypatch.setattr(scratch, "BLOCK_BYTES", 8 * len(work.choose) * 4 * work.land.shape[1] * 3)
    found = calibrate(made, "damped", config, tmp_path / "errors")
    np.testing.assert_allclose(found.above, whole.above, atol=2e-4)  # 283 K in single precision
    assert found.above.shape == (4, *work.land.shape)


def test_settings_that_leave_nothing_are_refused(config, tmp_path):
    path = tmp_path / "short.nc"
    toy_series(times=40).to_netcdf(path, engine="netcdf4")
    short = load_config(tmp_path / "config.toml", NextframeConfig, overrides=[f'data.field="{path}"'])
    with pytest.raises(InputError, match="give a longer series"):
        prepare_work(short, tmp_path / "series")
    with pytest.raises(UsageError, match="less than 5 %"):
        load_config(tmp_path / "config.toml", NextframeConfig, overrides=["split.choose=0.38"])
