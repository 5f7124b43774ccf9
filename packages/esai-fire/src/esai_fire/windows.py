"""The predictand: burned area over twelve months around each cell's peak month, and which cells count."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import xarray as xr

from esai_core.errors import InputError, UsageError

__all__ = [
    "Series", "centred_windows", "keep_burning", "monthly_series", "peak_months", "region_months",
    "window_series", "windows_like",
]  # fmt: skip

#: Months from the start of a window to its peak.
BEFORE_PEAK = 6


@dataclass(frozen=True)
class Series:
    """What is forecast: C series of n rows.

    Attributes
    ----------
    y : (C, n) burned area, m2 (or the table's unit); NaN where it is not known.
    names : (C,) label of each series.
    peak : (C,) peak month 1-12; the month that lags count from.
    year : (n,) year of each row: that of the peak month.
    season : (n,) number of the row's season: 0 throughout, or the calendar month of the monthly model.
    month : (n,) calendar month that lags count from, or 0 where that is the series' peak.
    row, column : (C,) place in the grid, -1 for totals of regions.
    """

    y: np.ndarray
    names: np.ndarray
    peak: np.ndarray
    year: np.ndarray
    season: np.ndarray
    month: np.ndarray
    row: np.ndarray
    column: np.ndarray

    @property
    def is_cell(self) -> np.ndarray:
        """(C,) True for cells of the grid, False for totals of regions."""
        return self.row >= 0

    def pick(self, chosen: np.ndarray) -> Series:
        """Give some of the series."""
        return replace(
            self,
            **{name: getattr(self, name)[chosen] for name in ("y", "names", "peak", "row", "column")},
        )


def peak_months(monthly: np.ndarray, month: np.ndarray) -> np.ndarray:
    """Month of the largest mean burned area.

    Parameters
    ----------
    monthly : (C, T) array
        Burned area per month; NaN is left out.
    month : (T,) array
        Calendar month 1-12.

    Returns
    -------
    numpy.ndarray
        (C,) 1-12; the first of equal months, 0 where nothing ever burned.
    """
    known = np.isfinite(monthly)
    filled = np.where(known, monthly, 0.0)
    one = (month[:, None] == np.arange(1, 13)).astype(np.float64)
    mean = (filled @ one) / np.maximum(known @ one, 1.0)
    return np.where(mean.max(axis=1) > 0.0, mean.argmax(axis=1) + 1, 0)


def centred_windows(
    monthly: np.ndarray, start: tuple[int, int], peak: np.ndarray, years: np.ndarray
) -> np.ndarray:
    """Sum over the twelve months from six before the peak month to five after it.

    Parameters
    ----------
    monthly : (C, T) array
        Burned area of consecutive months.
    start : (year, month)
        Of the first of them.
    peak : (C,) array
        Peak month 1-12.
    years : (n,) array
        Years of the peak.

    Returns
    -------
    numpy.ndarray
        (C, n); NaN where a month of the window is missing or outside the file. Peaks in December to June
        have windows that begin in the year before.
    """
    cells, months = monthly.shape
    padded = np.concatenate([np.full((cells, 1), np.nan), monthly], axis=1)
    first = (years[None, :] - start[0]) * 12 + peak[:, None] - start[1] - BEFORE_PEAK
    at = first[..., None] + np.arange(12)
    at = np.where((at >= 0) & (at < months), at + 1, 0)
    return padded[np.arange(cells)[:, None, None], at].sum(axis=2)


def keep_burning(y: np.ndarray, *, share: float = 0.5) -> np.ndarray:
    """Series that burned in at least this share of their known windows (the 50 % rule).

    Parameters
    ----------
    y : (C, n) array
        Burned area per window, of the training years alone.
    share : float
        Least share of windows with fire.

    Returns
    -------
    numpy.ndarray
        (C,) bool; a series without a known window is left out.
    """
    known = np.isfinite(y).sum(axis=1)
    burned = (np.nan_to_num(y) > 0.0).sum(axis=1)
    return (known > 0) & (burned >= share * known) & (burned > 0)


def _flat(burned: xr.DataArray) -> tuple[np.ndarray, pd.DatetimeIndex]:
    values = burned.transpose("time", "latitude", "longitude").values.astype(np.float64)
    return values.reshape(values.shape[0], -1).T, pd.DatetimeIndex(burned["time"].values)


def _with_regions(flat: np.ndarray, regions: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Totals of regions (share of each cell in it), NaN where any of its cells is."""
    totals = []
    for shares in regions.values():
        inside = shares.ravel() > 0.0
        if not inside.any():
            raise InputError("a region holds no cell", where="regions")
        totals.append((flat[inside] * shares.ravel()[inside, None]).sum(axis=0))
    return np.array(totals).reshape(len(totals), flat.shape[1]), list(regions)


def region_months(burned: xr.DataArray, regions: dict[str, np.ndarray]) -> pd.DataFrame:
    """Sum monthly burned area over regions.

    Parameters
    ----------
    burned : DataArray
        ``(time, latitude, longitude)``, m2 per month.
    regions : dict of str to array (latitude, longitude)
        Share of each cell in a region.

    Returns
    -------
    DataFrame
        A row per month, a column per region; NaN where a cell of the region is.
    """
    flat, time = _flat(burned)
    totals, names = _with_regions(flat, regions)
    return pd.DataFrame(totals.T, index=time, columns=names)


def window_series(
    burned: xr.DataArray,
    *,
    train: tuple[int, int] | None = None,
    extra_years: tuple[int, int] | None = None,
    share: float = 0.5,
    regions: dict[str, np.ndarray] | None = None,
) -> Series:
    """Make the series of peak-centred windows of all cells that pass the 50 % rule, and of regions.

    Parameters
    ----------
    burned : DataArray
        ``(time, latitude, longitude)``, m2 per month, consecutive months.
    train : (first, last), optional
        Years whose windows decide peak months and the 50 % rule; all by default.
    extra_years : (first, last), optional
        Further years to have rows for, burned area known or not.
    share : float
        As in `keep_burning`.
    regions : dict of str to array (latitude, longitude), optional
        Share of each cell in a region; their totals come first.

    Returns
    -------
    Series

    Raises
    ------
    InputError
        If no cell is left, or too few years are known.
    """
    flat, time = _flat(burned)
    years = np.arange(time[0].year, time[-1].year + 1)
    if extra_years is not None:
        years = np.arange(min(years[0], extra_years[0]), max(years[-1], extra_years[1]) + 1)
    first, last = train or (int(years[0]), int(years[-1]))
    if first > last:
        raise UsageError(f"years {first} to {last}", where="split")
    seen = np.asarray((time.year >= first) & (time.year <= last))
    totals, names = _with_regions(flat, regions or {})
    both = np.concatenate([totals, flat])
    peak = peak_months(both[:, seen], np.asarray(time.month)[seen])
    y = centred_windows(both, (time[0].year, time[0].month), np.maximum(peak, 1), years)
    in_train = (years >= first) & (years <= last)
    kept = keep_burning(y[:, in_train], share=share) & (peak > 0)
    if not kept[len(names) :].any():
        raise InputError(
            f"no cell burned in {share:.0%} of its years or more",
            where=str(burned.name),
            remedy="lower target.min_fire_share, or check the mask and the units",
        )
    lat, lon = burned["latitude"].values, burned["longitude"].values
    row, column = (index.ravel() for index in np.indices((lat.size, lon.size)))
    labels = [f"{lat[i]:g}N {lon[j]:g}E" for i, j in zip(row, column, strict=True)]
    none = np.full(len(names), -1)
    return Series(
        y=y,
        names=np.array([*names, *labels]),
        peak=peak,
        year=years,
        season=np.zeros(years.size, int),
        month=np.zeros(years.size, int),
        row=np.concatenate([none, row]),
        column=np.concatenate([none, column]),
    ).pick(kept)


def monthly_series(
    burned: xr.DataArray,
    *,
    train: tuple[int, int] | None = None,
    share: float = 0.5,
    regions: dict[str, np.ndarray] | None = None,
) -> Series:
    """Make the series of the monthly model: rows are months, the calendar month is a factor.

    Parameters
    ----------
    burned, train, share, regions
        As in `window_series`; the 50 % rule counts years with fire.

    Returns
    -------
    Series
    """
    yearly = window_series(burned, train=train, share=share, regions=regions)
    values, time = _monthly_like(burned, yearly, regions or {})
    return replace(
        yearly,
        y=values,
        year=np.asarray(time.year),
        season=np.asarray(time.month) - 1,
        month=np.asarray(time.month),
    )


def _monthly_like(
    monthly: xr.DataArray, series: Series, regions: dict[str, np.ndarray]
) -> tuple[np.ndarray, pd.DatetimeIndex]:
    """Months (C, T) of the cells and regions of some series."""
    flat, time = _flat(monthly)
    totals, names = _with_regions(flat, regions)
    width = monthly.sizes["longitude"]
    place = [
        names.index(name) if row < 0 else len(names) + row * width + column
        for name, row, column in zip(series.names, series.row, series.column, strict=True)
    ]
    return np.concatenate([totals, flat])[place], time


def windows_like(
    monthly: xr.DataArray,
    series: Series,
    regions: dict[str, np.ndarray] | None = None,
    *,
    months: bool = False,
) -> np.ndarray:
    """Sum another monthly quantity over the rows of some series: their windows, or their months.

    Parameters
    ----------
    monthly : DataArray
        ``(time, latitude, longitude)``, totals of consecutive months on the grid of the series.
    series : Series
        Which cells, regions and rows.
    regions : dict of str to array (latitude, longitude), optional
        As the series were made with.
    months : bool
        Give the twelve months of each window apart.

    Returns
    -------
    numpy.ndarray
        (C, n), or (C, n, 12) with `months`; NaN where a month is missing or outside the file.
    """
    values, time = _monthly_like(monthly, series, regions or {})
    start = time[0].year * 12 + time[0].month - 1
    padded = np.concatenate([np.full((values.shape[0], 1), np.nan), values], axis=1)
    if series.month.any():
        at = np.broadcast_to(series.year * 12 + series.month - 1 - start, (values.shape[0], series.year.size))
        at = at[..., None]
    else:
        first = series.year[None, :] * 12 + series.peak[:, None] - 1 - BEFORE_PEAK - start
        at = first[..., None] + np.arange(12)
    at = np.where((at >= 0) & (at < values.shape[1]), at + 1, 0)
    taken = padded[np.arange(values.shape[0])[:, None, None], at]
    return taken if months else taken.sum(axis=2)
