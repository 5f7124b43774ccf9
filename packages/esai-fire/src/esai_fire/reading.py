"""Readers of published index series: the PSL text layout with its sentinels, CSV and Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from esai_core import io
from esai_core.errors import InputError
from esai_fire.catalogue import canonical

__all__ = ["SENTINELS", "read_index_table", "read_indices", "read_psl"]

#: Marks of a missing value in published index files; each file uses one of them.
SENTINELS = (
    -9.0, -9.9, -9.99, -99.0, -99.9, -99.99, -999.0, -999.9, -999.99, -9999.0, 999.9, 9999.0, -9.99e33,
)  # fmt: skip


def _missing_marks(values: np.ndarray) -> list[float]:
    """Sentinels that occur in a series and lie far outside of its other values."""
    finite = values[np.isfinite(values)]
    marks = [mark for mark in SENTINELS if np.isclose(finite, mark, rtol=1e-6, atol=1e-4).any()]
    rest = finite[~np.isclose(finite[:, None], np.array(SENTINELS), rtol=1e-6, atol=1e-4).any(axis=1)]
    if rest.size < 10:
        return marks
    low, middle, high = np.percentile(rest, [25, 50, 75])
    far = 6.0 * max(high - low, 1e-9)
    return [mark for mark in marks if abs(mark - middle) > far and not rest.min() <= mark <= rest.max()]


def read_psl(path: str | Path) -> pd.Series:
    """Read a series in the text layout of NOAA PSL.

    The first line holds the first and last year, then one line per year with twelve values, then the mark of
    a missing value, then remarks.

    Parameters
    ----------
    path : path
        For example ``nina34.anom.data``; the name of the index is taken from it.

    Returns
    -------
    Series
        Indexed by the month's first day; NaN where the file holds its mark.

    Raises
    ------
    InputError
        If the layout is another, a year is missing, or a second mark of missing values occurs.
    """
    path = Path(path)
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        raise InputError("no such file", where=path) from None
    except UnicodeDecodeError:
        raise InputError("no text", where=path, remedy="give a PSL index file or a CSV") from None
    try:
        first, last = (int(float(word)) for word in lines[0][:2])
        rows = [[float(word) for word in words] for words in lines[1 : last - first + 2]]
        mark = float(lines[last - first + 2][0])
    except (ValueError, IndexError):
        raise InputError(
            "not in the text layout of PSL",
            where=path,
            remedy="first and last year, lines of a year and twelve values, then the missing value",
        ) from None
    years = [int(row[0]) for row in rows]
    if years != list(range(first, last + 1)) or any(len(row) != 13 for row in rows):
        raise InputError(
            f"the years {first} to {last} do not follow one another with twelve values each", where=path
        )
    values = np.array([row[1:] for row in rows]).ravel()
    values[np.isclose(values, mark, rtol=1e-6, atol=1e-6)] = np.nan
    others = _missing_marks(values)
    if others:
        raise InputError(
            f"the file names {mark:g} as its missing value, but {others[0]:g} occurs too",
            where=path,
            remedy="make them one",
        )
    months = pd.date_range(f"{first}-01-01", periods=values.size, freq="MS")
    return pd.Series(values, index=months.rename("time"), name=canonical(path.name.split(".")[0]))


def read_index_table(path: str | Path, *, missing: Sequence[float] = ()) -> pd.DataFrame:
    """Read a table of monthly series: a column of dates and one column per index.

    Parameters
    ----------
    path : path
        CSV or Parquet; the dates are in ``time``, ``date`` or the first column.
    missing : sequence of float
        Values that stand for missing ones.

    Returns
    -------
    DataFrame
        One column per index under its name here (`canonical`), indexed by the month's first day.

    Raises
    ------
    InputError
        If dates cannot be read or repeat, a column is no number, or holds an undeclared missing-value mark.
    """
    path = Path(path)
    table = io.read_table(path)
    key = next((name for name in table.columns if str(name).lower() in ("time", "date")), table.columns[0])
    months = pd.to_datetime(table[key], errors="coerce")
    if months.isna().any():
        row = int(months.isna().to_numpy().argmax())
        raise InputError(f"{table[key].iloc[row]!r} is no date", where=f"{path}: {key}, row {row + 2}")
    index = pd.DatetimeIndex(months).to_period("M").to_timestamp().rename("time")
    if index.has_duplicates:
        again = index[index.duplicated()][0]
        raise InputError(f"{again:%Y-%m} occurs more than once", where=path, remedy="one row per month")
    columns: dict[str, np.ndarray] = {}
    for name in table.columns.drop(key):
        try:
            values = np.array(table[name], dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError("holds something that is no number", where=f"{path}: {name}") from None
        for mark in missing:
            values[np.isclose(values, mark, rtol=1e-6, atol=1e-6)] = np.nan
        marks = _missing_marks(values)
        if marks:
            raise InputError(
                f"{marks[0]:g} looks like a missing value",
                where=f"{path}: {name}",
                remedy=f"declare it with data.missing_values = [{', '.join(f'{m:g}' for m in marks)}]",
            )
        columns[canonical(str(name))] = values
    return pd.DataFrame(columns, index=index).sort_index()


def read_indices(path: str | Path, *, missing: Sequence[float] = ()) -> pd.DataFrame:
    """Read index series: a table, a PSL text file, or a folder of PSL text files.

    Parameters
    ----------
    path : path
        ``.csv`` or ``.parquet`` is a table (`read_index_table`), a folder is read file by file, anything
        else is in the text layout of PSL (`read_psl`).
    missing : sequence of float
        For tables: values that stand for missing ones.

    Returns
    -------
    DataFrame
        One column per index, indexed by the month's first day, every month between the ends present.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".data", ".txt", ".long"))
        if not files:
            raise InputError("no index file here", where=path, remedy="PSL files end in .data")
        table = pd.concat([read_psl(file) for file in files], axis=1)
    elif path.suffix.lower() in (".csv", ".parquet") or path.name.endswith(".csv.gz"):
        table = read_index_table(path, missing=missing)
    else:
        table = read_psl(path).to_frame()
    return table.sort_index().asfreq("MS")
