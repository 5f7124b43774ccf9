"""Files to hand in: written in a contest's layout, and checked more strictly than the contests do."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_s2s.sample import LABELS

__all__ = ["CONTESTS", "Contest", "check_submission", "make_submission", "submit"]

SUM_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Contest:
    """The layout of a contest.

    Attributes
    ----------
    labels : tuple of str
        Categories in order.
    leads : tuple of int
        First lead days.
    variables : tuple of str
        All that must be there.
    starts : int or None
        Number of forecasts in a file.
    weekday : int
        Of the starts; Monday is 0.
    """

    labels: tuple[str, ...]
    leads: tuple[int, ...]
    variables: tuple[str, ...]
    starts: int | None
    weekday: int = 3


CONTESTS = {
    "challenge": Contest(LABELS[3], (14, 28), ("t2m", "tp"), 53),
    "quest": Contest(("q1", "q2", "q3", "q4", "q5"), (19, 26), ("tas", "mslp", "pr"), 1),
}
LATITUDE = np.arange(90.0, -90.1, -1.5)
LONGITUDE = np.arange(0.0, 360.0, 1.5)
DIMS = ("category", "forecast_time", "lead_time", "latitude", "longitude")


def _contest(name: str) -> Contest:
    if name not in CONTESTS:
        raise UsageError(f"unknown contest {name!r}", remedy=f"one of {', '.join(CONTESTS)}")
    return CONTESTS[name]


def make_submission(forecast: xr.Dataset, *, contest: str = "challenge") -> xr.Dataset:
    """Bring a forecast of this package to the layout of a contest, and check it.

    Parameters
    ----------
    forecast : Dataset
        ``forecast.nc``: dims (category, start, window, latitude, longitude), or the contest's own.
    contest : {"challenge", "quest"}
        Whose rules.

    Returns
    -------
    Dataset
        Dims (category, forecast_time, lead_time, latitude, longitude), latitudes from north to south,
        longitudes from 0.

    Raises
    ------
    InputError
        If it breaks a rule; see `check_submission`.
    """
    rules = _contest(contest)
    names = {"start": "forecast_time", "window": "lead_time"}
    ds = forecast.rename({a: b for a, b in names.items() if a in forecast.dims})
    if "lead_time" in ds.dims and ds["lead_time"].dtype.kind in "UO":
        try:
            days = [int(str(value).removesuffix("d")) for value in ds["lead_time"].values]
        except ValueError:
            raise InputError("windows are not named by days", where="lead_time", remedy="14d, 28d") from None
        ds = ds.assign_coords(lead_time=np.array(days, dtype="timedelta64[D]").astype("timedelta64[ns]"))
    if "longitude" in ds.dims:
        ds = ds.assign_coords(longitude=ds["longitude"] % 360.0).sortby("longitude")
        ds = ds.sortby("latitude", ascending=False)
    if contest == "quest" and ds.sizes.get("category") == 5:
        ds = ds.assign_coords(category=list(rules.labels))
    missing = [d for d in DIMS if d not in ds.dims]
    if missing:
        raise InputError(f"no dimension {', '.join(missing)}", remedy=f"dimensions are {', '.join(DIMS)}")
    ds = ds.transpose(*DIMS)
    check_submission(ds, contest=contest)
    return ds


def check_submission(ds: xr.Dataset, *, contest: str = "challenge") -> None:
    """Check a file to hand in; refuse what the contests' own checkers let through.

    Checked are variables, dimensions and their order, labels and their order, leads, dates (their number,
    weekday and order), the grid, that probabilities are in [0, 1] and sum to 1, and that none is missing.

    Parameters
    ----------
    ds : Dataset
        In the layout of the contest.
    contest : {"challenge", "quest"}
        Whose rules.

    Raises
    ------
    InputError
        For the first rule that is broken, with what would be right.
    """
    rules = _contest(contest)
    lacking = [name for name in rules.variables if name not in ds.data_vars]
    extra = [str(name) for name in ds.data_vars if name not in rules.variables]
    if lacking or extra:
        found = f"missing: {', '.join(lacking) or 'none'}; not asked for: {', '.join(extra) or 'none'}"
        raise InputError(f"wrong variables ({found})", remedy=f"give {', '.join(rules.variables)}")
    for name in rules.variables:
        if ds[name].dims != DIMS:
            raise InputError(f"dimensions {ds[name].dims}", where=name, remedy=f"give {DIMS}")
    labels = [str(value) for value in ds["category"].values]
    if labels != list(rules.labels):
        raise InputError(f"category labels {labels}", where="category", remedy=f"give {list(rules.labels)}")
    _check_leads(ds, rules)
    _check_dates(ds, rules)
    for name, grid in (("latitude", LATITUDE), ("longitude", LONGITUDE)):
        values = ds[name].values
        if values.shape != grid.shape or not np.allclose(values, grid, atol=1e-4):
            raise InputError(
                f"{len(values)} values from {values[0]:g} to {values[-1]:g}",
                where=name,
                remedy=f"give {len(grid)} from {grid[0]:g} to {grid[-1]:g}",
            )
    for name in rules.variables:
        _check_values(ds[name])


def _check_leads(ds: xr.Dataset, rules: Contest) -> None:
    values = ds["lead_time"].values
    if values.dtype.kind != "m":
        raise InputError(f"lead times are {values.dtype}", where="lead_time", remedy="give timedeltas")
    days = (values / np.timedelta64(1, "D")).tolist()
    if days != list(rules.leads):
        raise InputError(
            f"lead times {days} days", where="lead_time", remedy=f"give {list(rules.leads)} days"
        )


def _check_dates(ds: xr.Dataset, rules: Contest) -> None:
    starts = ds["forecast_time"].values
    if starts.dtype.kind != "M" or np.isnat(starts).any():
        raise InputError("forecast times are no dates, or one is missing", where="forecast_time")
    if len(starts) > 1 and (np.diff(starts) <= np.timedelta64(0, "ns")).any():
        raise InputError("forecast times are not ascending, or one is repeated", where="forecast_time")
    if rules.starts is not None and len(starts) != rules.starts:
        raise InputError(
            f"{len(starts)} forecast times", where="forecast_time", remedy=f"give {rules.starts}"
        )
    weekday = (starts.astype("datetime64[D]").astype(np.int64) + 3) % 7
    if (weekday != rules.weekday).any():
        wrong = starts[weekday != rules.weekday][0].astype("datetime64[D]")
        raise InputError(f"{wrong} is no Thursday", where="forecast_time", remedy="starts are Thursdays")


def _check_values(da: xr.DataArray) -> None:
    missing = int(da.isnull().sum())
    if missing:
        raise InputError(
            f"{missing} probabilities are missing",
            where=da.name,
            remedy="give climatology where there is no forecast",
        )
    wrong = int(((da < 0) | (da > 1)).sum())
    if wrong:
        raise InputError(f"{wrong} probabilities are outside [0, 1]", where=da.name)
    departure = float(np.abs(da.sum("category") - 1).max())
    if departure > SUM_TOLERANCE:
        raise InputError(f"probabilities sum to 1 only within {departure:.3g}", where=da.name)


def submit(args: argparse.Namespace) -> None:
    """Check a forecast against the rules of a contest, and write the file."""
    from esai_core.cli import emit
    from esai_core.io import open_dataset, write_netcdf

    ds = open_dataset(Path(args.forecast), standard=False).load()
    made = make_submission(ds, contest=args.contest)
    if args.out:
        write_netcdf(made, Path(args.out), dtype="float64")
    emit(str(args.out or f"{args.forecast} fits the {args.contest}"))
