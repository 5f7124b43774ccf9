"""What drives corrected forecasts, on made-up errors whose cause is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from esai_airquality.mos.causes import ERROR, find_causes
from esai_airquality.mos.config import MosConfig
from esai_airquality.mos.drivers import explain_delivered, explain_trees
from esai_airquality.mos.engine import advance
from esai_airquality.mos.panel import Panel
from esai_airquality.mos.state import start
from esai_core.report import Report, add_causes

DAYS, STATIONS = 100, 4


def made_up(seed: int = 0) -> tuple[Panel, np.ndarray]:
    """Observations that a forecast misses by eight times the wind of the same hour, and a wind of no use."""
    rng = np.random.default_rng(seed)
    shape = (DAYS, 24, STATIONS)
    forecast = 40.0 + 5.0 * rng.normal(size=shape)
    wind, decoy = rng.normal(size=shape), rng.normal(size=shape)
    observed = forecast + 8.0 * wind + rng.normal(size=shape)
    days = np.datetime64("2020-01-01") + np.arange(DAYS)
    names = tuple(f"S{number}" for number in range(STATIONS))
    meteorology = {"decoy": {1: decoy}, "wind": {1: wind}}
    return Panel(days, names, observed, {1: forecast}, False, meteorology=meteorology, units="ppb"), wind


def config(**mos: object) -> MosConfig:
    data = {"forecast": "a.parquet", "observations": "a.parquet", "species": "no2", "units": "ppb"}
    settings = {"event": 60.0, "rounds": 30, "depth": 4, "threads": 1, "interval": 0, **mos}
    return MosConfig.model_validate({"schema_version": 1, "data": data, "mos": settings})


def test_the_injected_predictor_ranks_first_in_the_trees_and_the_check_passes() -> None:
    panel, _ = made_up()
    setting = config(methods=["raw", "ma", "gbm", "blend"])
    state = advance(start(panel, setting.mos), setting.mos, until=DAYS)
    told = explain_trees(state, setting, seed=0)
    assert told is not None
    for one in told.attributions:
        assert one.ranking()[0] == "wind", one.method
    assert told.check is not None
    assert told.check.passed
    blend = explain_delivered(state, setting, "blend", seed=0)
    assert blend is not None
    assert blend.attributions[0].ranking()[0] == "gbm"
    assert blend.attributions[1].ranking()[0] == "gbm"
    simple = explain_delivered(state, setting, "ma", seed=0)
    assert simple is not None
    assert simple.attributions[0].ranking()[0] == "raw forecast"


def test_the_injected_cause_of_the_error_is_found() -> None:
    panel, wind = made_up(1)
    daily = np.random.default_rng(2).normal(size=DAYS)
    later = np.concatenate([[0.0], daily[:-1]])[:, None, None]
    error = 3.0 * later + np.random.default_rng(3).normal(size=panel.observed.shape)
    panel = dataclasses.replace(
        panel,
        forecasts={1: panel.observed + error},
        meteorology={"decoy": {1: wind}, "mixing": {1: np.broadcast_to(daily[:, None, None], wind.shape)}},
    )
    found = find_causes(panel, 1, seed=0)
    assert found is not None
    assert found.links.found(target=ERROR)[0] == ("mixing", 1, ERROR)
    assert found.false["false_positive_rate"] < 0.1
    assert ">mixing</td>" in add_causes(Report("A"), found).html()
    short = dataclasses.replace(
        panel, observed=np.where(np.arange(DAYS)[:, None, None] < 50, panel.observed, np.nan)
    )
    assert find_causes(short, 1, seed=0) is None


@pytest.mark.parametrize("delivered", ["raw", "gbm"])
def test_without_a_past_nothing_is_explained(delivered: str) -> None:
    panel, _ = made_up()
    empty = dataclasses.replace(panel, observed=np.full(panel.observed.shape, np.nan))
    setting = config(methods=["raw", "gbm"])
    assert explain_delivered(start(empty, setting.mos), setting, delivered, seed=0) is None
