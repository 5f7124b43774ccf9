"""Forecasts of the next field: the split in time, damping, and what a network may see."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from esai_core.config import load_config
from esai_core.errors import InputError, UsageError
from esai_core.tasks.nextframe import pipeline
from esai_core.tasks.nextframe.baselines import Damping, lagged_pairs
from esai_core.tasks.nextframe.config import NextframeConfig
from esai_core.tasks.nextframe.demo import prepare, toy_series
from esai_core.tasks.nextframe.network import examples, targets


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


def test_parts_share_no_time(config):
    work = pipeline.prepare_work(config)
    window, longest = config.network.window, max(config.leads)
    spans = [(part[0] - window + 1, part[-1] + longest) for part in (work.train, work.choose, work.test)]
    assert spans[0][0] == 0
    assert spans[0][1] < spans[1][0]
    assert spans[1][1] < spans[2][0]
    assert spans[2][1] == work.field.sizes["time"] - 1
    assert work.fitted[-1] == spans[0][1]


def test_nothing_after_the_training_part_is_fitted(config, monkeypatch):
    before = pipeline.prepare_work(config)
    last = int(before.fitted[-1])
    poisoned = before.field.copy(deep=True)
    poisoned[last + 1 :] = 1e6
    monkeypatch.setattr(pipeline, "open_field", lambda *args, **options: poisoned)
    after = pipeline.prepare_work(config)
    xr.testing.assert_equal(before.level, after.level)
    assert before.scale == after.scale
    np.testing.assert_array_equal(before.anomalies[: last + 1], after.anomalies[: last + 1])
    one, other = (Damping.fit(work.anomalies, work.fitted, config.leads) for work in (before, after))
    np.testing.assert_array_equal(one.factors, other.factors)


@pytest.mark.parametrize("kind", ["convlstm", "unet"])
def test_a_network_sees_the_window_and_nothing_later(config, kind):
    work = pipeline.prepare_work(config)
    damping = Damping.fit(work.anomalies, work.fitted, config.leads)
    starts = np.array([20, 31])
    options = {"kind": kind, "window": 4}
    first = examples(work.anomalies, work.land, work.phases, starts, damping, **options)
    poisoned = work.anomalies.copy()
    poisoned[32:] = 1e6
    poisoned[21:28] = poisoned[:17] = 1e6
    second = examples(poisoned, work.land, work.phases, starts, damping, **options)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    assert first["baseline"].shape == (2, *work.anomalies.shape[1:], len(config.leads))
    truth = targets(work.anomalies, work.land, starts, config.leads)
    np.testing.assert_array_equal(truth[1, ..., 2], work.anomalies[37])


def test_truths_and_climatology_lie_at_their_valid_time(config):
    work = pipeline.prepare_work(config)
    truth = pipeline.truths(work, work.test, config)
    assert truth.dims == ("start", "lead", "latitude", "longitude")
    one = truth.isel(start=3).sel(lead=6)
    at = one["start"].values + np.timedelta64(6, "h")
    np.testing.assert_allclose(one.values, work.field.sel(time=at).values)


def test_settings_that_leave_nothing_are_refused(config, tmp_path):
    path = tmp_path / "short.nc"
    toy_series(times=40).to_netcdf(path, engine="netcdf4")
    short = load_config(tmp_path / "config.toml", NextframeConfig, overrides=[f'data.field="{path}"'])
    with pytest.raises(InputError, match="give a longer series"):
        pipeline.prepare_work(short)
    with pytest.raises(UsageError, match="less than 5 %"):
        load_config(tmp_path / "config.toml", NextframeConfig, overrides=["split.choose=0.38"])
