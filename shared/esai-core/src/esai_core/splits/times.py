"""Splits in time: by year, by season, leaving each year out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError
from esai_core.splits.folds import Fold, Split, positions, with_inner
from esai_core.splits.groups import leave_one_out


def years_of(times: ArrayLike) -> NDArray[np.int64]:
    """Return the calendar year of each time: datetime64, cftime, or years themselves."""
    return _calendar(times)[0]


def _calendar(times: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    values = np.asarray(times)
    if values.ndim != 1 or values.size == 0:
        raise UsageError(f"times must be a list of dates, not of shape {values.shape}", where="split")
    if values.dtype.kind in "iu":
        return values.astype(np.int64), np.ones(values.size, dtype=np.int64)
    if values.dtype.kind == "M":
        if np.isnat(values).any():
            raise UsageError("a date is missing (NaT)", where="split", remedy="drop such samples first")
        months = values.astype("datetime64[M]").astype(np.int64)
        return months // 12 + 1970, months % 12 + 1
    if all(hasattr(value, "year") and hasattr(value, "month") for value in values):
        return np.array([v.year for v in values], np.int64), np.array([v.month for v in values], np.int64)
    raise UsageError(
        f"cannot read years from {values.dtype}", where="split", remedy="give datetime64 or years"
    )


def by_year(
    starts: ArrayLike,
    *,
    train: Sequence[int],
    test: Sequence[int],
    validate: Sequence[int] | None = None,
) -> Split:
    """Split by the calendar year of each sample's start.

    Parameters
    ----------
    starts : array of dates or years, shape (n,)
        Forecast start (or the only time) of each sample.
    train, test : (first year, last year)
        Both included.
    validate : (first year, last year), optional
        Years on which choices are made; without it `validate` of the result is empty.

    Raises
    ------
    UsageError
        If a range is reversed, two ranges share years, or no sample lies in one of them.
    """
    years = years_of(starts)
    ranges = {"train": train, "test": test} | ({} if validate is None else {"validate": validate})
    wanted = {name: _year_range(name, value) for name, value in ranges.items()}
    names = list(wanted)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = sorted(set(wanted[a]) & set(wanted[b]))
            if shared:
                raise UsageError(
                    f"{b} years inside the {a} years: {_spell(shared)}",
                    where=f"split.{a} = {list(ranges[a])}, split.{b} = {list(ranges[b])}",
                    remedy="give ranges that do not overlap",
                )
    parts = {name: positions(np.isin(years, list(value))) for name, value in wanted.items()}
    for name, part in parts.items():
        if len(part) == 0:
            raise UsageError(
                f"no sample in the {name} years {ranges[name][0]}-{ranges[name][1]}",
                where=f"split.{name}",
                remedy=f"the data has {_spell(np.unique(years))}",
            )
    return Split(parts["train"], parts.get("validate", np.empty(0, dtype=np.int64)), parts["test"])


def _year_range(name: str, value: Sequence[int]) -> range:
    if len(value) != 2 or int(value[0]) > int(value[1]):
        raise UsageError(
            f"years {list(value)} are no range", where=f"split.{name}", remedy="give [first year, last year]"
        )
    return range(int(value[0]), int(value[1]) + 1)


def _spell(years: Iterable[int]) -> str:
    """Spell 1981, 1982, 1983, 1990 as '1981-1983, 1990'."""
    runs: list[list[int]] = []
    for year in sorted(int(y) for y in years):
        if runs and year == runs[-1][1] + 1:
            runs[-1][1] = year
        else:
            runs.append([year, year])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def year_blocks(times: ArrayLike, *, first_month: int = 1) -> NDArray[np.int64]:
    """Label each time with its year, or with the year in which its 12 months from `first_month` end.

    With ``first_month=7`` a winter that crosses New Year is one block: December 1999 and January 2000 are
    2000.

    Parameters
    ----------
    times : array of dates, shape (n,)
        Starts, or valid times.
    first_month : int
        First month of a block, 1 to 12; choose one in which there are no samples, or least.
    """
    if not 1 <= first_month <= 12:
        raise UsageError(f"no month {first_month}", remedy="give 1 to 12")
    years, months = _calendar(times)
    return years + ((months >= first_month) & (first_month > 1))


def season_blocks(times: ArrayLike) -> NDArray[np.str_]:
    """Label each time with its season, such as "2000-DJF": December belongs to the next year's winter."""
    years, months = _calendar(times)
    seasons = np.array(["DJF", "MAM", "JJA", "SON"])[months % 12 // 3]
    return np.array([f"{y}-{s}" for y, s in zip(years + (months == 12), seasons, strict=True)])


def leave_one_year_out(
    times: ArrayLike, *, first_month: int = 1, gap: int = 0, nested: bool = False
) -> list[Fold]:
    """Hold out each year (`year_blocks`) in turn; with `nested`, each year of the rest in `Fold.inner`."""
    blocks = year_blocks(times, first_month=first_month)
    folds = leave_one_out(blocks, gap=gap)
    if not nested:
        return folds
    return [with_inner(fold, lambda train: leave_one_out(blocks[train], gap=gap)) for fold in folds]
