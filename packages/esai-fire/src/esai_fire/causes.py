"""Which ocean indices burned area follows, season by season, given the past of all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from esai_core.causality import Causes
from esai_fire.screening import compress

__all__ = ["find_causes", "seasonal_anomalies"]

LONGEST = 4  # seasons: a year
_MINOR = 0.1  # share of the fires below which a season says nothing
_FEWEST = 60  # seasons


def seasonal_anomalies(months: pd.Series, indices: pd.DataFrame) -> pd.DataFrame:
    """Bring burned area and indices to anomalies of whole seasons (December-February and so on).

    Parameters
    ----------
    months : Series
        Burned area of a region, by month.
    indices : DataFrame
        By month, a column each.

    Returns
    -------
    DataFrame
        A row per season that both know, without a cycle and a trend, in standard deviations; a season with
        less than 10 % of the fires is at its mean.
    """
    seasons = months.resample("QS-DEC")
    total = seasons.sum().where(seasons.count() == 3)
    means = indices.resample("QS-DEC").mean().where(indices.resample("QS-DEC").count() == 3)
    table = means.assign(**{str(months.name): total}).dropna()
    quarter = table.index.month
    fire = table[str(months.name)]
    level = fire.groupby(quarter).transform("mean")
    table[str(months.name)] = compress((fire / level.where(level > 0.0, 1.0)).to_numpy())
    own = (quarter.to_numpy()[:, None] == np.unique(quarter)).astype(float)
    line = np.column_stack([own, own * np.linspace(-1.0, 1.0, len(table))[:, None]])  # of each season
    away = table - line @ np.linalg.lstsq(line, table.to_numpy(), rcond=None)[0]
    spread = away.groupby(quarter).transform("std")
    away = away / spread.where(spread > 0.0, 1.0)
    minor = level < _MINOR * fire.groupby(quarter).mean().sum()
    away.loc[minor, str(months.name)] = 0.0
    return away


def find_causes(
    months: pd.DataFrame | None, indices: pd.DataFrame, *, names: list[str], years: tuple[int, int], seed: int
) -> Causes | None:
    """Look for lagged causes of the burned area of the first region among the indices.

    Parameters
    ----------
    months : DataFrame or None
        Burned area of the regions by month; None where only years are known.
    indices : DataFrame
        By month.
    names : list of str
        Indices to look at.
    years : (first, last)
        Training years.
    seed : int
        Of the shuffled series.

    Returns
    -------
    Causes or None
        None where there are too few seasons.
    """
    if months is None:
        return None
    target = str(months.columns[0])
    seen = months.iloc[:, 0][(months.index.year >= years[0]) & (months.index.year <= years[1])]
    data = seasonal_anomalies(seen.rename(target), indices[names])
    data = data.loc[:, data.std() > 0.0]
    if len(data) < _FEWEST or target not in data:
        return None
    years_of = np.arange(len(data)) // 4
    return Causes.find(data, target=target, blocks=years_of, longest=LONGEST, count=10, seed=seed)
