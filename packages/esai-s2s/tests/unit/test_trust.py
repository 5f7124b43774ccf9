"""What drives the forecasts and how sure they are, where both are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from esai_s2s.curves import brier_parts
from esai_s2s.drivers import drivers_of_dict, drivers_to_dict, explaining_fold, find_drivers
from esai_s2s.fitting import Plan, make_folds
from esai_s2s.intervals import value_intervals
from esai_s2s.methods.settings import Settings
from esai_s2s.sample import Sample

Make = Callable[..., Sample]
QUICK = Settings(trees=10, rounds=15, cycle=False)


def years(sample: Sample) -> np.ndarray:
    return (sample.starts + np.timedelta64(90, "D")).astype("datetime64[Y]").astype(int) + 1970


def injected(make: Make, driver: int) -> Sample:
    """Return truth that follows one of three past means, with no forecast."""
    base = make(cells=2, n_years=12)
    lags = np.random.default_rng(5).normal(size=(base.size, 3, 2))
    return replace(base, forecast=None, lags=lags, observed=base.observed + 2.0 * lags[:, driver])


@pytest.mark.parametrize("driver", [0, 2])
def test_an_injected_driver_ranks_first_in_every_family(make_sample: Make, driver: int) -> None:
    sample = injected(make_sample, driver)
    plan = Plan(methods=("logistic", "forest", "boosting"), group=None, settings=QUICK)
    blocks = years(sample)
    weights = {"climatology": 0.1, "logistic": 0.4, "forest": 0.2, "boosting": 0.3}
    fold = explaining_fold(make_folds(sample, blocks, "each"), blocks, sample)
    assert not np.isin(blocks[fold.train], blocks[fold.test]).any()
    found = find_drivers(sample, blocks, fold, plan, weights, seed=0)
    assert [one.method.split(",")[0] for one in found.attributions] == ["ensemble", *plan.methods]
    for one in found.attributions:
        assert one.ranking()[0] == f"lag{driver}", one.method
        others = [value for name, value in zip(one.names, one.values, strict=True) if name != f"lag{driver}"]
        assert one.values.max() > 10 * max(others)
        assert len(one.by) == 5  # months
    assert found.check is not None
    assert found.check.passed
    again = drivers_of_dict(drivers_to_dict(found))
    assert again.check == found.check
    np.testing.assert_array_equal(again.attributions[1].values, found.attributions[1].values)


def test_emos_is_driven_by_the_mean_and_where_nothing_is_learnt_nothing_drives(make_sample: Make) -> None:
    sample = make_sample(n_years=12)
    plan = Plan(methods=("raw", "emos"), group=None, settings=QUICK)
    blocks = years(sample)
    fold = make_folds(sample, blocks, (2004, 2006))[0]
    found = find_drivers(sample, blocks, fold, plan, {}, seed=0)
    (emos,) = found.attributions
    assert emos.ranking() == ["mean", "spread"]
    assert emos.values[0] > 0.1 > 0.02 > abs(emos.values[1])
    weights = {"climatology": 1.0, "raw": 0.0, "emos": 0.0}
    idle = find_drivers(sample, blocks, fold, plan, weights, seed=0)
    assert np.abs(idle.attributions[0].values).max() < 1e-9


@pytest.mark.parametrize("kind", ["normal", "precipitation", "no forecast"])
def test_intervals_of_the_value_cover_what_they_claim_on_held_out_seasons(
    make_sample: Make, kind: str
) -> None:
    sample = make_sample(n_years=16, cells=4, skill=0.8)
    assert sample.forecast is not None
    if kind == "precipitation":
        rain = np.maximum(sample.observed + 2.0, 0.0) ** 3
        members = np.maximum(sample.forecast, 0.0) ** 3
        sample = replace(sample, kind="precipitation", observed=rain, forecast=members)
    elif kind == "no forecast":
        sample = replace(sample, forecast=None)
    blocks = years(sample)
    plan = Plan(methods=("emos",), group=None, settings=QUICK)
    found = value_intervals(sample, blocks, make_folds(sample, blocks, "each"), plan)
    assert found["cases"] == sample.observed.size
    assert 0.87 < found["coverage"] < 0.94
    assert found["coverage_low"] < 0.9 < found["coverage_high"] + 0.02
    climate = np.subtract(*np.quantile(sample.observed, [0.95, 0.05]))
    assert found["width"] < (1.05 if kind == "no forecast" else 0.85) * climate


def test_an_overconfident_forecast_is_widened_to_its_claim(make_sample: Make) -> None:
    """Truth with heavy tails in every third season: normal quantiles of the other seasons are too narrow."""
    sample = make_sample(n_years=18, cells=4)
    blocks = years(sample)
    wild = np.random.default_rng(1).standard_t(2, sample.observed.shape)
    sample = replace(sample, observed=sample.observed + 0.7 * wild)
    plan = Plan(methods=("emos",), group=None, settings=QUICK)
    found = value_intervals(sample, blocks, make_folds(sample, blocks, "each"), plan)
    assert 0.88 < found["coverage"] < 0.93


def test_the_parts_of_the_brier_score_add_up_to_it() -> None:
    rng = np.random.default_rng(0)
    level = rng.integers(0, 10, 4000)
    p = level / 10 + 0.02
    event = (rng.random(4000) < 0.2 + 0.6 * p).astype(float)
    block = np.arange(4000) // 1000
    counts = {name: np.zeros((4, 200)) for name in ("known", "chance", "happened")}
    where = (block, (p * 200 + 1e-6).astype(int))
    for name, values in (("known", np.ones(4000)), ("chance", p), ("happened", event)):
        np.add.at(counts[name], where, values)
    parts = brier_parts(xr.Dataset({n: (("block_label", "bin"), v) for n, v in counts.items()}))
    total = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
    assert total == pytest.approx(((p - event) ** 2).mean(), abs=1e-12)
    assert parts["reliability"] == pytest.approx(((0.2 + 0.6 * p - p) ** 2).mean(), abs=5e-3)
