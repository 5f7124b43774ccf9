"""What drives forecasts of burned area, on made-up fires whose cause is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from esai_core.explain import mean_size
from esai_fire.causes import find_causes, seasonal_anomalies
from esai_fire.demo import synthetic_burned_area, synthetic_indices
from esai_fire.drivers import contributions
from esai_fire.folds import make_plan
from esai_fire.nested import run_nested
from esai_fire.predictors import lag_predictors
from esai_fire.windows import window_series

NAMES = ("nino34", "pdo", "tna", "dmi")


@pytest.mark.parametrize("forecaster", ["single", "pair", "lasso"])
def test_the_injected_index_ranks_first_whatever_the_forecaster(forecaster: str) -> None:
    table = synthetic_indices(NAMES, first=1978, last=2004, seed=2)
    burned = synthetic_burned_area(
        table, first=1981, last=2004, shape=(2, 3), drivers={("tna", 6): 0.9}, seed=2
    )
    series = window_series(burned, regions={"total": np.ones((2, 3))})
    predictors = lag_predictors(
        table, names=NAMES, lags=(5, 7), lead=4, years=series.year, month=series.month, peaks=series.peak
    )
    plan = make_plan(series.year, train=np.isfinite(series.y).any(axis=0))
    pool = np.where(series.is_cell, 0, -1)
    found = run_nested(series, predictors, plan, forecasters=(forecaster,), pool=pool)
    names, parts = contributions(found, series, predictors, plan)
    told = mean_size(parts, names=names, method="contributions")
    assert told.ranking()[0] == "tna"
    assert told.values[names.index("tna")] > 3 * np.delete(told.values, names.index("tna")).max()
    # Complete: what the forecast is beyond the sum varies by its fit alone, not with the indices.
    rest = np.log(found.outer["stack"] / found.outer["climatology"]) - parts.sum(axis=2)
    free = np.isfinite(rest)
    assert rest[free].std() < 0.25 * parts.sum(axis=2)[free].std()


def _months(beta: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Monthly fires that follow pdo six months earlier, with a month's own noise."""
    table = synthetic_indices(NAMES, first=1980, last=2019, seed=seed)
    season = np.array([0, 0, 0, 0.02, 0.05, 0.15, 0.25, 0.3, 0.15, 0.08, 0, 0])
    signal = beta * table["pdo"].shift(6).fillna(0.0)
    noise = np.random.default_rng(seed).normal(0.0, 0.5, len(table))
    fires = 1e8 * season[table.index.month - 1] * np.exp(signal.to_numpy() + noise)
    return pd.DataFrame({"total": fires}, index=table.index), table


def test_the_injected_cause_is_found_and_nothing_where_there_is_none() -> None:
    false = []
    for seed in range(3):
        months, indices = _months(0.8, seed)
        found = find_causes(months, indices, names=list(NAMES), years=(1980, 2019), seed=seed)
        assert found is not None
        at = NAMES.index("pdo"), len(NAMES)
        p = found.links.p
        assert found.links.q[at].min() <= 0.01
        others = [k for k in range(len(NAMES)) if k != at[0]]
        assert p[at].min() < p[others, at[1]].min()
        false.append(found.false["false_positive_rate"])
    assert np.mean(false) < 0.1
    months, indices = _months(0.0, 5)
    found = find_causes(months, indices, names=list(NAMES), years=(1980, 2019), seed=5)
    assert found is not None
    assert found.links.q[: len(NAMES), len(NAMES)].min() > 0.05
    assert find_causes(None, indices, names=list(NAMES), years=(1980, 2019), seed=0) is None


def test_seasons_have_no_cycle_and_no_trend() -> None:
    months, indices = _months(0.5, 1)
    months["total"] *= np.linspace(1.0, 4.0, len(months))
    made = seasonal_anomalies(months["total"], indices)
    assert np.abs(made.groupby(made.index.month).mean()).max().max() < 1e-9
    assert abs(np.polyfit(np.arange(len(made)), made["total"], 1)[0]) * len(made) < 0.2
    assert (made["total"][made.index.month == 12] == 0.0).all()
