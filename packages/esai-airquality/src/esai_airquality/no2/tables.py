"""The table of observations: days, places, and columns that would give the target away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from esai_airquality.no2.config import DataSection
from esai_airquality.no2.predictors import sample
from esai_airquality.no2.satellite import COLUMN
from esai_core.errors import InputError, UsageError, unknown
from esai_core.io import read_table

__all__ = ["Leak", "Observations", "find_leaks", "parse_days", "read_observations"]

SUSPICIOUS = 0.85
"""Correlation with the target above which a single column is taken for another form of the target."""

_DAY_FIRST = re.compile(r"\s*(\d{1,2})[/.-](\d{1,2})[/.-](\d{4}|\d{2})\s*$")


@dataclass(frozen=True)
class Leak:
    """A column that gives the target away.

    Attributes
    ----------
    column, reason : str
        Its name, and what was found.
    """

    column: str
    reason: str


@dataclass(frozen=True)
class Observations:
    """Rows of stations, sorted by station and day.

    Attributes
    ----------
    table : DataFrame
        ``station``, ``latitude``, ``longitude`` (degrees), ``time`` (datetime64, NaT in a table of means),
        ``target`` (NaN where not observed) and the predictors under their own names.
    satellite, others : tuple of str
        Predictors from a satellite, and the others.
    leaks, trusted : tuple of Leak
        Columns left out because they give the target away, and those kept on the user's word.
    daily : bool
        Whether rows have days.
    """

    table: pd.DataFrame
    satellite: tuple[str, ...]
    others: tuple[str, ...]
    leaks: tuple[Leak, ...]
    trusted: tuple[Leak, ...]
    daily: bool


def parse_days(values: pd.Series, *, where: object = None) -> pd.Series:
    """Read days, in ISO order or day-first: ``2019-01-13``, ``1/2/19`` (1 February), ``13-01-19``.

    Parameters
    ----------
    values : Series
        Of texts or dates; the two kinds of text may be mixed.
    where : object, optional
        File and column, for errors.

    Returns
    -------
    Series of datetime64[ns]
        At midnight.

    Raises
    ------
    InputError
        For a text that is neither, or a missing day.
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        days = values.dt.tz_convert(None) if values.dt.tz is not None else values
    else:
        texts = values.astype("str")
        made = {text: _day(text) for text in texts.unique()}
        wrong = [text for text, day in made.items() if pd.isna(day)]
        if wrong:
            raise InputError(
                f"{wrong[0]!r} is no day", where=where, remedy="write 2019-01-13, or day-first as 13/01/19"
            )
        days = texts.map(made)
    if days.isna().any():
        raise InputError(f"{int(days.isna().sum())} rows have no day", where=where, remedy="drop them")
    return days.astype("datetime64[ns]").dt.floor("D")


def _day(text: str) -> pd.Timestamp:
    found = _DAY_FIRST.match(text)
    if found:
        day, month, year = (int(part) for part in found.groups())
        year += 2000 if year < 100 else 0
        try:
            return pd.Timestamp(year, month, day)
        except ValueError:
            return pd.NaT
    return pd.to_datetime(text, format="ISO8601", errors="coerce")


def read_observations(data: DataSection, fields: xr.Dataset | None = None) -> Observations:
    """Read the table of observations and decide on its predictors.

    Parameters
    ----------
    data : DataSection
        Names of its columns.
    fields : Dataset, optional
        Gridded predictors; with them all predictors are read there, in the cells of the stations, so that a
        map
        is made of the same as the model was.

    Returns
    -------
    Observations

    Raises
    ------
    InputError
        If columns or places are missing, a station has two rows of one day, or, with ``data.leaks`` refuse, a
        predictor gives the target away.
    """
    raw = read_table(data.observations)
    roles = [data.target, data.latitude, data.longitude]
    roles += [name for name in (data.station, data.time) if name is not None]
    for name in roles:
        _need(name, raw.columns, data.observations)
    table = _frame(raw, data)
    if fields is None:
        satellite, others = _columns(raw, data, roles)
        table = table.assign(**{name: raw[name].to_numpy(np.float64) for name in (*satellite, *others)})
    else:
        satellite, others = _variables(fields, data)
        table = table.join(sample(fields, table, [*satellite, *others]))
    kept, leaks, trusted = _settle(table, [*satellite, *others], data)
    order = np.lexsort((table["time"].to_numpy(), table["station"].to_numpy(str)))
    table = table.drop(columns=[leak.column for leak in leaks]).iloc[order].reset_index(drop=True)
    _check_rows(table, data)
    return Observations(
        table,
        tuple(name for name in satellite if name in kept),
        tuple(name for name in others if name in kept),
        leaks,
        trusted,
        data.time is not None,
    )


def _need(name: str, names: Iterable[object], where: object) -> None:
    listed = [str(one) for one in names]
    if name not in listed:
        raise unknown("column", name, listed, where=where, error=InputError)


def _columns(raw: pd.DataFrame, data: DataSection, roles: Sequence[str]) -> tuple[list[str], list[str]]:
    """Choose predictors among the columns of the table: those from a satellite, and others."""
    taken = {*roles, *data.satellite, *data.exclude}
    numbers = [str(name) for name in raw.columns if pd.api.types.is_numeric_dtype(raw[name])]
    others = [name for name in numbers if name not in taken]
    if data.predictors is not None:
        others = [name for name in data.predictors if name not in data.satellite]
    for name in (*data.satellite, *others):
        _need(name, raw.columns, data.observations)
        if name not in numbers:
            raise InputError(
                f"column {name!r} holds no numbers", where=data.observations, remedy="leave it out"
            )
    return list(data.satellite), others


def _variables(fields: xr.Dataset, data: DataSection) -> tuple[list[str], list[str]]:
    """Choose predictors among the gridded fields: those from a satellite, and others."""
    there = [str(name) for name in fields.data_vars]
    satellite = [*data.satellite, *([COLUMN] if COLUMN in there and COLUMN not in data.satellite else [])]
    hidden = {*satellite, f"{COLUMN}_error", f"{COLUMN}_weight", *data.exclude}
    others = [name for name in there if name not in hidden]
    if data.predictors is not None:
        others = [name for name in data.predictors if name not in satellite]
    for name in (*satellite, *others):
        _need(name, there, data.fields)
    return satellite, others


def _frame(raw: pd.DataFrame, data: DataSection) -> pd.DataFrame:
    where = data.observations
    place = {}
    for name, column, limit in (
        ("latitude", data.latitude, 90.0), ("longitude", data.longitude, 360.0)
    ):  # fmt: skip
        values = pd.to_numeric(raw[column], errors="coerce").to_numpy(np.float64)
        bad = ~np.isfinite(values) | (np.abs(values) > limit)
        if bad.any():
            raise InputError(
                f"{int(bad.sum())} rows have no {name} in range, such as row {int(np.argmax(bad))} with "
                f"{raw[column].iloc[int(np.argmax(bad))]}",
                where=f"{where}, column {column}",
                remedy="drop them or give coordinates in degrees",
            )
        place[name] = values
    if data.station is not None:
        station = raw[data.station].astype("str").to_numpy(object)
    else:
        codes = pd.MultiIndex.from_arrays([place["latitude"], place["longitude"]]).factorize(sort=True)[0]
        station = np.array([f"{code:05d}" for code in codes], object)
    target = pd.to_numeric(raw[data.target], errors="coerce").to_numpy(np.float64)
    if np.nanmin(target, initial=0.0) < -50:
        raise InputError(
            f"an observation of {np.nanmin(target):g} {data.units}",
            where=f"{where}, column {data.target}",
            remedy="is it a code of missing values? Leave such cells empty",
        )
    days = (
        pd.Series(pd.NaT, raw.index, dtype="datetime64[ns]")
        if data.time is None
        else parse_days(raw[data.time], where=f"{where}, column {data.time}")
    )
    return pd.DataFrame(
        {"station": station, **place, "time": days.to_numpy(), "target": target}, index=raw.index
    )


def _check_rows(table: pd.DataFrame, data: DataSection) -> None:
    twice = table.duplicated(["station", "time"])
    two_instruments = data.time is None and data.station is None  # means of one place
    if twice.any() and not two_instruments:
        row = table[twice].iloc[0]
        day = "" if data.time is None else f" on {row['time']:%Y-%m-%d}"
        raise InputError(
            f"{int(twice.sum())} rows repeat a station's day, such as station {row['station']!r}{day}",
            where=data.observations,
            remedy="keep one row of each, or name data.station and data.time",
        )
    moved = table.groupby("station")[["latitude", "longitude"]].nunique().max(axis=1) > 1
    if moved.any():
        raise InputError(
            f"station {moved.idxmax()!r} has several coordinates", where=data.observations,
            remedy="give each place a name of its own",
        )  # fmt: skip
    observed = int(table["target"].notna().sum())
    if observed < 100:
        raise InputError(
            f"{observed} observations", where=f"{data.observations}, column {data.target}",
            remedy="a model of the surface needs 100 or more",
        )  # fmt: skip


def _settle(
    table: pd.DataFrame, names: Sequence[str], data: DataSection
) -> tuple[list[str], tuple[Leak, ...], tuple[Leak, ...]]:
    """Leave leaks out, or refuse them."""
    for name in data.trusted:
        if name not in names:
            raise UsageError(f"data.trusted names {name!r}, which is no predictor", where="data.trusted")
    found = find_leaks(table, names)
    trusted = tuple(leak for leak in found if leak.column in data.trusted)
    leaks = tuple(leak for leak in found if leak.column not in data.trusted)
    if leaks and data.leaks == "refuse":
        listed = "; ".join(f"{leak.column}: {leak.reason}" for leak in leaks)
        columns = ", ".join(f'"{leak.column}"' for leak in leaks)
        raise InputError(
            f"predictors that give the target away: {listed}",
            where=data.observations,
            remedy=f'set data.exclude = [{columns}] or data.leaks = "drop"; data.trusted if they are '
            f"innocent",
        )
    gone = {leak.column for leak in leaks}
    return [name for name in names if name not in gone], leaks, trusted


def find_leaks(table: pd.DataFrame, names: Sequence[str]) -> list[Leak]:
    """Find columns that give the target away.

    A column is suspicious if it is a running number or a name of rows or stations (whole numbers, as many as
    there are rows or stations, with few gaps), if it is correlated with the target by more than 0.85, or if
    it
    is missing in the same rows as the target and in no others.

    Parameters
    ----------
    table : DataFrame
        With ``station``, ``target`` and the columns.
    names : sequence of str
        Columns to look at.

    Returns
    -------
    list of Leak
    """
    observed = table["target"].notna().to_numpy()
    target = table["target"].to_numpy()
    found = []
    for name in names:
        values = table[name].to_numpy(np.float64)
        both = observed & np.isfinite(values)
        if both.sum() < 10:
            continue
        reason = None
        spread = values[both].std()
        r = float(np.corrcoef(values[both], target[both])[0, 1]) if spread > 0 else 0.0
        if _is_name(values[np.isfinite(values)], table.loc[np.isfinite(values), "station"].nunique()):
            reason = "a running number of the rows or stations"
        elif abs(r) > SUSPICIOUS:
            reason = f"correlation {r:.2f} with the target"
        elif not observed.all() and np.array_equal(np.isfinite(values), observed):
            reason = "missing exactly where the target is"
        if reason is not None:
            found.append(Leak(str(name), reason))
    return found


def _is_name(values: np.ndarray, stations: int) -> bool:
    """Whether values are whole numbers, about one for each row or station, that fill their range."""
    distinct = np.unique(values)
    if len(distinct) < 20 or (distinct != np.round(distinct)).any():
        return False
    dense = np.ptp(distinct) < 3 * len(distinct)
    return bool(dense and len(distinct) in (len(values), stations))
