from __future__ import annotations

import pandas as pd
import pytest

from esai_core.errors import InputError, UsageError
from esai_core.io import read_table, write_table


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "station": ["ES1", "Ñ2"],
            "date": pd.to_datetime(["2018-01-02", "2018-12-31"]),
            "no2": [1.25, float("nan")],
        }
    )


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_what_is_written_is_read_and_the_bytes_repeat(table, tmp_path, name):
    path = write_table(table, tmp_path / name)
    pd.testing.assert_frame_equal(read_table(path, dates=["date"]), table, check_dtype=False)
    first = path.read_bytes()
    assert write_table(table, path).read_bytes() == first


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found(tmp_path, separator):
    path = tmp_path / "a.csv"
    path.write_text(f"a{separator}b\n1{separator}2\n")
    assert read_table(path).to_dict("list") == {"a": [1], "b": [2]}


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert list(read_table(path)) == ["a", "b"]


def test_another_encoding_is_told_and_can_be_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("name\nLogroño\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"not utf-8-sig: byte .* is 0xf1.*name its encoding"):
        read_table(path)
    assert read_table(path, encoding="cp1252").name[0] == "Logroño"


def test_columns_are_required_by_name(table, tmp_path):
    path = write_table(table, tmp_path / "a.csv")
    assert list(read_table(path, columns=["no2", "station"])) == ["no2", "station"]
    with pytest.raises(
        InputError, match=r"no column 'no_2'; the table has station, date, no2.*did you mean 'no2'"
    ):
        read_table(path, columns=["no_2"])


def test_days_first_are_not_guessed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("date\n1/2/19\n")
    with pytest.raises(InputError, match="column date holds no ISO date"):
        read_table(path, dates=["date"])


def test_what_cannot_be_read(table, tmp_path):
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(InputError, match="the file is empty"):
        read_table(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text('a,b\n1,2\n1,2,3,4\n"open')
    with pytest.raises(InputError, match="the table is damaged"):
        read_table(tmp_path / "b.csv")
    for name in ("c.csv.gz", "d.parquet"):
        path = write_table(table, tmp_path / name)
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(InputError, match="damaged"):
            read_table(path)
    with pytest.raises(InputError, match=r"no such file .*did you mean 'a\.csv'"):
        read_table(tmp_path / "aa.csv")
    with pytest.raises(UsageError, match=r"cannot be \.xlsx"):
        write_table(table, tmp_path / "a.xlsx")
