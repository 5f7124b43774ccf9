"""Splits of samples into training, validation and test parts that share no truth.

Every function works on labels or coordinates of the samples, never on their order: shuffled samples give the
same parts, shuffled alike. Parts are sorted integer positions, made once, disjoint and never empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import UsageError

Positions = NDArray[np.int64]
_EARTH_RADIUS_KM = 6371.0088


@dataclass(frozen=True, eq=False)
class Fold:
    """Positions of the training and of the test samples of one fold.

    Attributes
    ----------
    train, test : array of int
        Sorted, disjoint, not empty.
    name : str
        What is held out, for messages and tables.
    inner : tuple of Fold
        Folds within `train` (positions in the whole sample) for choices made inside this fold.
    """

    train: Positions
    test: Positions
    name: str = ""
    inner: tuple[Fold, ...] = ()

    def __post_init__(self) -> None:
        _check_parts({"train": self.train, "test": self.test}, where=self.name)


@dataclass(frozen=True, eq=False)
class Split:
    """Positions of the training, validation (may be empty) and test samples."""

    train: Positions
    validate: Positions
    test: Positions

    def __post_init__(self) -> None:
        parts = {"train": self.train, "test": self.test}
        if len(self.validate):
            parts["validate"] = self.validate
        _check_parts(parts, where="split")

    @property
    def development(self) -> Positions:
        """Training and validation samples together: what a chosen method is refitted on."""
        return np.union1d(self.train, self.validate)


def _check_parts(parts: dict[str, Positions], *, where: str) -> None:
    for name, part in parts.items():
        if len(part) == 0:
            raise UsageError(f"the {name} part is empty", where=where or None)
    together = np.concatenate(list(parts.values()))
    if len(np.unique(together)) < len(together):
        raise UsageError(f"{', '.join(parts)} share samples", where=where or None)


def _positions(mask: NDArray[np.bool_]) -> Positions:
    return np.flatnonzero(mask).astype(np.int64)


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
    parts = {name: _positions(np.isin(years, list(value))) for name, value in wanted.items()}
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
