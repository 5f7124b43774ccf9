"""Split the starts into training, validation and test parts by the config's years or days."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.splits import Split, by_year
from esai_seasonal.config import SeasonalConfig, SplitConfig
from esai_seasonal.data import Data

__all__ = ["by_day", "split", "split_times"]


def split(data: Data, config: SeasonalConfig) -> Split:
    """Split the starts of a hindcast.

    Parameters
    ----------
    data : Data
        Opened inputs.
    config : SeasonalConfig
        Its table ``[split]``.

    Returns
    -------
    Split
        Positions along `start`.

    Raises
    ------
    UsageError
        Parts that overlap, are reversed or hold no start.
    InputError
        The reference has no value at the training or validation starts.
    """
    parts = split_times(data.hindcast["start"].values, config.split)
    for name, part in (("train", parts.train), ("validate", parts.validate)):
        if not bool(data.truth.isel(start=part).notnull().any()):
            raise InputError(
                f"no common years: the reference has no value at the starts of split.{name}",
                where=f"{config.data.reference}",
                remedy="choose years that hindcast and reference share",
            )
    return parts


def split_times(times: np.ndarray, config: SplitConfig) -> Split:
    """Split times by years or, where the config gives dates, by days."""
    ranges = {"train": config.train, "validate": config.validate_, "test": config.test}
    days = [name for name, pair in ranges.items() if isinstance(pair[0], date)]
    if not days:
        return by_year(times, **ranges)
    if len(days) < 3:
        raise UsageError(
            "years and days mixed", where="split", remedy="give three ranges of years, or three of days"
        )
    return by_day(times, **{name: (_date(a), _date(b)) for name, (a, b) in ranges.items()})


def _date(value: int | date) -> date:
    return value if isinstance(value, date) else date(value, 1, 1)


def by_day(
    times: np.ndarray,
    *,
    train: tuple[date, date],
    validate: tuple[date, date],
    test: tuple[date, date],
) -> Split:
    """Split times by calendar days, both ends included.

    Raises
    ------
    UsageError
        If a range is reversed, two ranges share days, or no sample lies in one of them.
    """
    stamps = np.asarray(times).astype("datetime64[D]")
    ranges = {"train": train, "validate": validate, "test": test}
    for name, (first, last) in ranges.items():
        if first > last:
            raise UsageError(f"days {first} to {last} are no range", where=f"split.{name}")
    order = sorted(ranges, key=lambda name: ranges[name][0])
    for a, b in pairwise(order):
        if ranges[b][0] <= ranges[a][1]:
            raise UsageError(
                f"{b} days inside the {a} days",
                where=f"split.{a} ends {ranges[a][1]}, split.{b} begins {ranges[b][0]}",
                remedy="give ranges that do not overlap",
            )
    parts = {
        name: np.flatnonzero((stamps >= np.datetime64(a)) & (stamps <= np.datetime64(b)))
        for name, (a, b) in ranges.items()
    }
    for name, part in parts.items():
        if part.size == 0:
            raise UsageError(
                f"no sample in the {name} days {ranges[name][0]} to {ranges[name][1]}",
                where=f"split.{name}",
                remedy=f"the data has {stamps.min()} to {stamps.max()}",
            )
    return Split(parts["train"], parts["validate"], parts["test"])


def described(config: SplitConfig) -> dict[str, list[str | int]]:
    """Ranges as metrics.json holds them."""
    ranges = {"train": config.train, "validate": config.validate_, "test": config.test}
    return {k: [v if isinstance(v, int) else v.isoformat() for v in pair] for k, pair in ranges.items()}


def with_groups(da: xr.DataArray) -> xr.DataArray:
    """Add the calendar month of the start, by which tables are grouped."""
    return da.assign_coords(month=("start", da["start"].dt.month.values))
