from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from esai_airquality.no2.config import DataSection
from esai_airquality.no2.tables import find_leaks, parse_days, read_observations
from esai_core.errors import InputError, UsageError
from esai_core.io import write_table


def table(stations: int = 12, days: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = stations * days
    column = rng.gamma(2, 2, n)
    return pd.DataFrame(
        {
            "station": np.repeat([f"S{s}" for s in range(stations)], days),
            "latitude": np.repeat(45 + 0.1 * np.arange(stations), days),
            "longitude": 9.0,
            "day": np.tile(pd.date_range("2020-01-01", periods=days).strftime("%d/%m/%y"), stations),
            "no2": 3 * column + rng.normal(0, 6, n) + 20,
            "column": column,
            "wind": rng.gamma(2, 1, n),
        }
    )


def read(frame: pd.DataFrame, tmp_path: Path, **changes: object) -> object:
    path = tmp_path / "table.csv"
    write_table(frame, path)
    section = {
        "observations": path,
        "target": "no2",
        "station": "station",
        "time": "day",
        "satellite": ["column"],
    }
    return read_observations(DataSection(**{**section, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1/2/19", "2019-02-01"),
        ("13-01-19", "2019-01-13"),
        ("03.12.2021", "2021-12-03"),
        ("2019-02-01", "2019-02-01"),
        ("2019-02-01T13:00:00", "2019-02-01"),
    ],
)
def test_days_are_read_day_first(text: str, day: str) -> None:
    assert parse_days(pd.Series([text, "01/01/2019"]))[0] == pd.Timestamp(day)


@pytest.mark.parametrize("text", ["1/13/19", "yesterday", "31-02-20", ""])
def test_other_texts_are_no_days(text: str) -> None:
    with pytest.raises(InputError, match="is no day"):
        parse_days(pd.Series([text, "01/01/2019"]))


def test_columns_find_their_roles(tmp_path: Path) -> None:
    found = read(table().sample(frac=1, random_state=1), tmp_path)
    assert found.satellite == ("column",)
    assert found.others == ("wind",)
    assert found.daily
    assert found.table["time"].iloc[1] - found.table["time"].iloc[0] == pd.Timedelta(days=1)
    assert not found.leaks


def test_leaks_are_refused_dropped_or_trusted(tmp_path: Path) -> None:
    frame = table()
    rng = np.random.default_rng(1)
    frame["row"] = np.arange(len(frame)) + 7
    frame["night"] = frame["no2"] * 0.8 + rng.normal(0, 1, len(frame))
    frame.loc[5, "no2"] = np.nan
    frame["uptime"] = np.where(frame["no2"].notna(), rng.random(len(frame)), np.nan)
    with pytest.raises(
        InputError, match=r"give the target away.*row: a running number.*night: correlation 0.9"
    ):
        read(frame, tmp_path)
    found = read(frame, tmp_path, leaks="drop")
    assert {leak.column for leak in found.leaks} == {"row", "night", "uptime"}
    assert found.others == ("wind",)
    kept = read(frame, tmp_path, leaks="drop", trusted=["night"])
    assert [leak.column for leak in kept.trusted] == ["night"]
    assert "night" in kept.others
    with pytest.raises(UsageError, match="no predictor"):
        read(frame, tmp_path, trusted=["nothing"])
    assert read(frame, tmp_path, exclude=["row", "night", "uptime"]).others == ("wind",)


def test_an_honest_predictor_is_no_leak() -> None:
    frame = table()
    assert not find_leaks(frame.rename(columns={"no2": "target"}), ["column", "wind", "latitude"])


def test_bad_tables_are_one_clear_line(tmp_path: Path) -> None:
    frame = table()
    with pytest.raises(InputError, match=r"unknown column 'columm'.*did you mean 'column'"):
        read(frame, tmp_path, satellite=["columm"])
    twice = pd.concat([frame, frame.iloc[[3]]])
    with pytest.raises(InputError, match="1 rows repeat a station's day, such as station 'S0' on 2020-01-04"):
        read(twice, tmp_path)
    moved = frame.assign(latitude=frame["latitude"].where(frame.index != 4, 46.0))
    with pytest.raises(InputError, match="station 'S0' has several coordinates"):
        read(moved, tmp_path)
    nowhere = frame.assign(latitude=frame["latitude"].where(frame.index != 4))
    with pytest.raises(InputError, match="1 rows have no latitude in range, such as row 4"):
        read(nowhere, tmp_path)
    with pytest.raises(InputError, match="code of missing values"):
        read(frame.assign(no2=frame["no2"].where(frame.index != 4, -999.0)), tmp_path)
    with pytest.raises(InputError, match="a model of the surface needs 100"):
        read(frame.head(60), tmp_path)
    with pytest.raises(InputError, match="holds no numbers"):
        read(frame.assign(wind="strong"), tmp_path, predictors=["wind"])
