"""What an operational run has to keep: nothing from the future, and the same bits however it is cut up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esai_airquality.mos.config import METHODS, DataSection, MosSection
from esai_airquality.mos.demo import prepare
from esai_airquality.mos.engine import advance
from esai_airquality.mos.panel import Panel, read_panel
from esai_airquality.mos.state import State, extend, start
from esai_airquality.mos.store import load_state, save_state

DAYS = 50
SETTINGS = MosSection(
    methods=METHODS, leads=(1, 3), spin_up=12, refresh=10, event=90.0, rounds=10, depth=3, threads=1
)


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    folder = tmp_path_factory.mktemp("network")
    prepare(folder)
    config = DataSection(
        forecast=folder / "network.parquet",
        observations=folder / "network.parquet",
        stations=folder / "stations.csv",
        forecast_column="forecast",
        observed_column="observed",
        meteorology=("temperature",),
        units="ug/m3",
    )
    whole = read_panel(config, SETTINGS.leads)
    few = slice(0, 3)
    return Panel(
        days=whole.days[:DAYS],
        stations=whole.stations[few],
        observed=whole.observed[:DAYS, :, few].copy(),
        forecasts=dict.fromkeys(SETTINGS.leads, whole.forecasts[1][:DAYS, :, few].copy()),
        separate=False,
        meteorology={
            "temperature": dict.fromkeys(SETTINGS.leads, whole.meteorology["temperature"][1][:DAYS, :, few])
        },
        static=whole.static.iloc[few],
        units="ug/m3",
    )


@pytest.fixture(scope="module")
def at_once(panel: Panel) -> State:
    return advance(start(panel, SETTINGS), SETTINGS, until=DAYS)


def assert_same(one: State, other: State) -> None:
    for name, by_lead in one.predictions.items():
        for lead, values in by_lead.items():
            assert np.array_equal(values, other.predictions[name][lead], equal_nan=True), (name, lead)
    assert one.rules == other.rules
    assert one.trees == other.trees


def test_every_method_issues_forecasts(at_once: State) -> None:
    for name, by_lead in at_once.predictions.items():
        for values in by_lead.values():
            assert np.isfinite(values[30:]).mean() > 0.9, name


@settings(max_examples=4, deadline=None)
@given(day=st.integers(12, DAYS - 1))
def test_observations_after_the_issue_time_change_nothing(panel: Panel, at_once: State, day: int) -> None:
    poisoned = panel.observed.copy()
    poisoned[day:] = 1e6
    other = Panel(**{**vars(panel), "observed": poisoned})
    state = advance(start(other, SETTINGS), SETTINGS, until=DAYS)
    for name, by_lead in at_once.predictions.items():
        for lead, values in by_lead.items():
            known = slice(0, day + lead)  # issued on day - 1 at the latest
            assert np.array_equal(values[known], state.predictions[name][lead][known], equal_nan=True), (
                name,
                lead,
            )


@settings(max_examples=2, deadline=None)
@given(killed=st.integers(1, DAYS - 2))
def test_day_by_day_is_at_once_also_when_killed_and_resumed(
    panel: Panel, at_once: State, killed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("state") / "state.npz"
    first = cut(panel, 1)
    state = start(first, SETTINGS)
    for day in range(1, DAYS + 1):
        state = extend(state, cut(panel, day))
        advance(state, SETTINGS, until=day)
        if day == killed:
            save_state(state, path)
            state = load_state(path)
            advance(state, SETTINGS, until=day)  # a repeated day is no new day
    assert_same(at_once, state)


def cut(panel: Panel, known: int) -> Panel:
    """The panel of a daily run: observations of `known` days, forecasts through the day after the target."""
    stop = min(known + 4, DAYS)
    seen = panel.through(known)
    return Panel(
        **{
            **vars(seen),
            "days": seen.days[:stop],
            "observed": seen.observed[:stop],
            "forecasts": {lead: a[:stop] for lead, a in seen.forecasts.items()},
            "meteorology": {
                n: {lead: a[:stop] for lead, a in m.items()} for n, m in seen.meteorology.items()
            },
        }
    )


def test_shuffled_rows_and_stations_give_the_same(tmp_path: Path) -> None:
    from esai_core.io import read_table, write_table

    prepare(tmp_path)
    table = read_table(tmp_path / "network.parquet")
    write_table(table.sample(frac=1.0, random_state=1), tmp_path / "shuffled.parquet")
    columns = {"forecast_column": "forecast", "observed_column": "observed"}
    one, other = (
        read_panel(DataSection(forecast=tmp_path / name, observations=tmp_path / name, **columns), (1,))
        for name in ("network.parquet", "shuffled.parquet")
    )
    assert one.stations == other.stations
    assert np.array_equal(one.observed, other.observed, equal_nan=True)
