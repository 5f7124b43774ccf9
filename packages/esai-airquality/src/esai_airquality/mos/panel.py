"""Forecasts and observations as arrays over (day, hour, station), and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esai_airquality.mos.config import DataSection
from esai_airquality.units import factor
from esai_core.errors import InputError, UsageError, nearest
from esai_core.io import read_table

__all__ = ["Panel", "lay_out", "numbers", "read_panel", "read_stations", "selected", "stamps"]

Array = NDArray[np.float64]
STATION_NAMES = ("station", "station_reference", "station_id", "code", "site")
NAMES = {
    "latitude": ("latitude", "lat", "LATITUDE", "LAT"),
    "longitude": ("longitude", "lon", "LONGITUDE", "LON"),
}


@dataclass(frozen=True)
class Panel:
    """Hourly forecasts and observations of stations.

    Attributes
    ----------
    days : datetime64[D] array (day,)
        Consecutive days, UTC.
    stations : tuple of str
        Names, sorted.
    observed : array (day, hour, station)
        Observations, NaN where missing.
    forecasts : mapping of int to array (day, hour, station)
        Lead to forecast, by valid day.
    separate : bool
        Whether leads are forecasts of their own, or one series stands for all of them.
    meteorology : mapping of str to mapping of int to array (day, hour, station)
        Predictor to lead to values.
    static : DataFrame
        Numbers that describe each station, by its name.
    units : str
        Of all values.
    dropped : tuple of str
        Stations left out, as they were never observed.
    """

    days: NDArray[np.datetime64]
    stations: tuple[str, ...]
    observed: Array
    forecasts: dict[int, Array]
    separate: bool
    meteorology: dict[str, dict[int, Array]] = field(default_factory=dict)
    static: pd.DataFrame = field(default_factory=pd.DataFrame)
    units: str = "ppb"
    dropped: tuple[str, ...] = ()

    def coverage(self) -> Array:
        """Part of all hours that each station has observed, by station."""
        return np.isfinite(self.observed).mean(axis=(0, 1))

    def through(self, days: int) -> Panel:
        """Give the panel as it was known after its first `days` days: later observations are missing."""
        observed = self.observed.copy()
        observed[days:] = np.nan
        return replace(self, observed=observed)


def read_panel(config: DataSection, leads: Sequence[int]) -> Panel:
    """Read what the table ``[data]`` of a config names.

    Parameters
    ----------
    config : DataSection
        Files and columns.
    leads : sequence of int
        Leads that are wanted.

    Returns
    -------
    Panel
        In the units of the forecast.

    Raises
    ------
    InputError
        For duplicated or sub-hourly stamps, units that cannot be, stations without coordinates, no overlap.
    """
    described = read_stations(config.stations) if config.stations is not None else None
    forecast = _read(config, config.forecast, config.forecast_column, described, lead=True)
    observed = _read(config, config.observations, config.observed_column, described, lead=False)
    names = sorted(set(forecast["station"]) & set(observed["station"]))
    if not names:
        raise InputError(
            "forecast and observations share no station",
            where=f"{config.forecast} and {config.observations}",
            remedy="check the names of the stations",
        )
    observed = observed[observed["station"].isin(names)]
    seen = observed.dropna(subset=["value"])["station"].unique()
    dropped = tuple(name for name in names if name not in set(seen))
    names = [name for name in names if name not in dropped]
    if not names:
        raise InputError("no station has an observation", where=config.observations)
    forecast, observed = (table[table["station"].isin(names)] for table in (forecast, observed))
    first = min(forecast["time"].min(), observed["time"].min()).floor("D")
    last = max(forecast["time"].max(), observed["time"].max()).floor("D")
    days = np.arange(
        first.to_datetime64(), (last + pd.Timedelta(days=1)).to_datetime64(), np.timedelta64(1, "D")
    )
    days = days.astype("datetime64[D]")
    scale = factor(config.observed_units or config.units, config.units, species=config.species)
    twice = {"duplicates": config.duplicates}
    seen_array = lay_out(observed, "value", days, names, config.observations, **twice) * scale
    forecasts, meteorology, separate = _forecasts(forecast, days, names, leads, config)
    _plausible(seen_array, next(iter(forecasts.values())), config)
    static = pd.DataFrame(index=names)
    if described is not None:
        missing = [name for name in names if name not in described.index]
        if missing:
            raise InputError(
                f"{len(missing)} stations are not in the table of stations, such as {missing[0]!r}",
                where=config.stations,
                remedy="add their rows, or leave data.stations out",
            )
        static = described.loc[names].select_dtypes("number")
    return Panel(
        days=days,
        stations=tuple(names),
        observed=seen_array,
        forecasts=forecasts,
        separate=separate,
        meteorology=meteorology,
        static=static,
        units=config.units,
        dropped=dropped,
    )


def read_stations(path: Path) -> pd.DataFrame:
    """Read a table of stations, by name, with ``latitude`` and ``longitude``.

    Raises
    ------
    InputError
        For a station that is there twice or has no coordinates.
    """
    table = read_table(path)
    column = next((name for name in STATION_NAMES if name in table), None)
    if column is None:
        raise InputError("no column of station names", where=path, remedy=f"call it {STATION_NAMES[0]!r}")
    table = table.assign(**{column: table[column].astype(str)}).set_index(column)
    if table.index.has_duplicates:
        raise InputError(f"station {table.index[table.index.duplicated()][0]!r} is there twice", where=path)
    for name, spellings in NAMES.items():
        found = next((one for one in spellings if one in table), None)
        if found is None:
            raise InputError(f"no column {name!r}", where=path, remedy=f"one of {', '.join(spellings)}")
        table = table.rename(columns={found: name})
        bad = table.index[~np.isfinite(pd.to_numeric(table[name], errors="coerce"))]
        if len(bad):
            raise InputError(
                f"station {bad[0]!r} has no {name}",
                where=path,
                remedy="give its coordinates or remove the row",
            )
    return table


def _read(
    config: DataSection, path: Path, column: str | None, described: pd.DataFrame | None, *, lead: bool
) -> pd.DataFrame:
    """Read values as a long table: time, station, lead (forecasts), value, meteorology."""
    if path.suffix in (".nc", ".nc4", ".zarr") or path.is_dir():
        from esai_airquality.mos.grids import read_grid

        return read_grid(path, column, config.meteorology if lead else (), described)
    table = selected(read_table(path), config.select, path)
    station = config.station_column or next((name for name in STATION_NAMES if name in table), None)
    if "time" not in table:
        time = next((name for name in ("date", "datetime", "Date", "index") if name in table), None)
        if time is None and isinstance(table.index, pd.DatetimeIndex):
            table = table.rename_axis("time").reset_index()
        elif time is None:
            raise InputError("no column of times", where=path, remedy="call it 'time'")
        else:
            table = table.rename(columns={time: "time"})
    column = column or _only_value(table, path, station)
    for name in (column, *(config.meteorology if lead else ())):
        if name not in table:
            raise InputError(f"no column {name!r}", where=path, remedy=nearest(name, map(str, table.columns)))
    result = pd.DataFrame({"time": stamps(table["time"], path), "value": numbers(table[column], path)})
    result["station"] = "network" if station is None else table[station].astype(str).to_numpy()
    if lead and config.lead_column:
        if config.lead_column not in table:
            raise InputError(
                f"no column {config.lead_column!r}",
                where=path,
                remedy=nearest(config.lead_column, table.columns),
            )
        result["lead"] = table[config.lead_column].to_numpy().astype(int) + 1 - config.first_lead
    elif not lead and config.lead_column and config.lead_column in table:
        result["lead"] = table[config.lead_column].to_numpy()
        result = result.drop_duplicates(["time", "station", "value"]).drop(columns="lead")
    for name in config.meteorology if lead else ():
        result[name] = numbers(table[name], path)
    return result


def selected(table: pd.DataFrame, select: Mapping[str, str], path: Path) -> pd.DataFrame:
    """Keep the rows that have a value in a column, for each of `select`.

    Raises
    ------
    InputError
        For an unknown column, or where no row is left.
    """
    for key, value in select.items():
        if key not in table:
            raise InputError(
                f"no column {key!r} to select by", where=path, remedy=nearest(key, table.columns)
            )
        table = table[table[key].astype(str) == value]
        if table.empty:
            raise InputError(f"no row with {key} = {value!r}", where=path)
    return table


def _only_value(table: pd.DataFrame, path: Path, station: str | None) -> str:
    names = [str(name) for name in table.select_dtypes("number").columns if name not in ("time", station)]
    if len(names) == 1:
        return names[0]
    raise UsageError(
        f"{len(names)} columns could be the values: {', '.join(names[:8])}",
        where=path,
        remedy="name it: data.forecast_column, data.observed_column",
    )


def numbers(column: pd.Series, path: Path) -> Array:
    """Give a column as float64.

    Raises
    ------
    InputError
        If it holds something else.
    """
    try:
        return column.to_numpy(np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        raise InputError(f"column {column.name!r} holds no numbers", where=path) from None


def stamps(column: pd.Series, path: Path) -> NDArray[np.datetime64]:
    """Read stamps as UTC; those with a zone are brought to it, those without are taken as it."""
    try:
        times = column if column.dtype.kind == "M" else pd.to_datetime(column.astype(str), format="ISO8601")
        if getattr(times.dt, "tz", None) is not None:
            times = times.dt.tz_convert("UTC").dt.tz_localize(None)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"the times are not ISO dates of one kind: {str(error)[:100]}",
            where=path,
            remedy="write them as 2018-01-31 13:00 in UTC, or all with their zone",
        ) from None
    values = times.to_numpy("datetime64[ns]")
    if np.isnat(values).any():
        raise InputError("a time is missing", where=path)
    odd = values[values != values.astype("datetime64[h]")]
    if len(odd):
        raise InputError(
            f"{len(odd)} times are not full hours, such as {str(odd[0])[:16]}",
            where=path,
            remedy="average to hours first",
        )
    return values


def lay_out(
    table: pd.DataFrame, column: str, days: NDArray, names: Sequence[str], path: Path, *, duplicates: str
) -> Array:
    """Lay a long table of ``time`` and ``station`` out over (day, hour, station).

    Raises
    ------
    InputError
        With `duplicates` ``"refuse"`` for two rows of one station and hour; else the first counts.
    """
    hour = (table["time"].to_numpy("datetime64[h]") - days[0].astype("datetime64[h]")).astype(np.int64)
    place = pd.Index(names).get_indexer(table["station"])
    flat = hour * len(names) + place
    first = ~pd.Index(flat).duplicated()
    if duplicates == "refuse" and not first.all():
        row = table[~first].iloc[0]
        raise InputError(
            f"{int((~first).sum())} duplicated stamps, such as station {row['station']!r} at {row['time']}",
            where=path,
            remedy='remove them, or set data.duplicates = "first"',
        )
    out = np.full(len(days) * 24 * len(names), np.nan)
    out[flat[first]] = table[column].to_numpy(np.float64)[first]
    return out.reshape(len(days), 24, len(names))


def _forecasts(
    table: pd.DataFrame, days: NDArray, names: Sequence[str], leads: Sequence[int], config: DataSection
) -> tuple[dict[int, Array], dict[str, dict[int, Array]], bool]:
    separate = "lead" in table
    twice = {"duplicates": config.duplicates}
    forecasts: dict[int, Array] = {}
    extra: dict[str, dict[int, Array]] = {name: {} for name in config.meteorology}
    if not separate:
        one = lay_out(table, "value", days, names, config.forecast, **twice)
        more = {name: lay_out(table, name, days, names, config.forecast, **twice) for name in extra}
        return dict.fromkeys(leads, one), {n: dict.fromkeys(leads, a) for n, a in more.items()}, False
    there = sorted(set(table["lead"]))
    for lead in sorted(
        {*leads, *(k + 1 for k in leads if k + 1 in there), *(k - 1 for k in leads if k - 1 in there)}
    ):
        part = table[table["lead"] == lead]
        if part.empty:
            raise InputError(
                f"no forecast of lead {lead}",
                where=config.forecast,
                remedy=f"there are {', '.join(map(str, there))}",
            )
        forecasts[lead] = lay_out(part, "value", days, names, config.forecast, **twice)
        for name in extra:
            extra[name][lead] = lay_out(part, name, days, names, config.forecast, **twice)
    return forecasts, extra, True


def _plausible(observed: Array, forecast: Array, config: DataSection) -> None:
    """Refuse values whose sizes cannot belong together, as kg/m3 beside ug/m3."""
    both = np.isfinite(observed) & np.isfinite(forecast)
    if not both.any():
        raise InputError(
            "no hour has both a forecast and an observation",
            where=f"{config.forecast} and {config.observations}",
        )
    o, f = float(np.mean(np.abs(observed[both]))), float(np.mean(np.abs(forecast[both])))
    if o == 0 or f == 0 or not 0.02 < o / f < 50:
        raise InputError(
            f"observations of {o:.3g} {config.units} beside forecasts of {f:.3g} {config.units} on average",
            where=f"{config.observations} and {config.forecast}",
            remedy="set data.units and data.observed_units to those of the files (kg/m3 is 1e9 ug/m3)",
        )
