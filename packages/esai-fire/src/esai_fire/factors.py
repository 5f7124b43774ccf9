"""Emissions from dry matter: E = sum over sources of DM times emission factor, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from esai_core import io
from esai_core.errors import InputError, unknown

__all__ = ["closure", "combine_dry_matter", "emissions_from_area", "read_dry_matter", "read_factors"]

WHOLE = "Global"


def read_factors(path: str | Path) -> pd.DataFrame:
    """Read emission factors: a row per species, a column per source.

    Parameters
    ----------
    path : path
        CSV with the columns ``species`` and one per source (GFED: SAVA BORF TEMF DEFO PEAT AGRI).

    Returns
    -------
    DataFrame
        g per kg dry matter, indexed by species.

    Raises
    ------
    InputError
        If a factor is missing, negative or no number.
    """
    table = io.read_table(path)
    if "species" not in table:
        raise InputError("no column 'species'", where=path)
    table = table.set_index("species")
    try:
        table = table.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError("an emission factor is no number", where=path) from None
    bad = ~(table >= 0.0)
    if bad.to_numpy().any():
        row, column = np.argwhere(bad.to_numpy())[0]
        raise InputError(
            f"emission factor {table.iloc[row, column]:g}",
            where=f"{path}: {table.index[row]}, {table.columns[column]}",
            remedy="factors are 0 or more",
        )
    return table


def read_dry_matter(path: str | Path) -> pd.DataFrame:
    """Read burned dry matter by region, year and source.

    Parameters
    ----------
    path : path
        CSV with the columns ``region year source DM_Tg``, or with ``month`` beside the year.

    Returns
    -------
    DataFrame

    Raises
    ------
    InputError
        If a column is missing, a value negative, or a row repeats.
    """
    table = io.read_table(path)
    keys = ["region", "year", *(["month"] if "month" in table else []), "source"]
    for name in (*keys, "DM_Tg"):
        if name not in table:
            raise InputError(f"no column {name!r}", where=path)
    bad = ~(table["DM_Tg"] >= 0.0)
    if bad.any():
        row = table[bad].iloc[0]
        raise InputError(
            f"dry matter of {row['DM_Tg']:g}",
            where=f"{path}: {row['region']}, {row['year']}, {row['source']}",
        )
    if table.duplicated(keys).any():
        row = table[table.duplicated(keys)].iloc[0]
        raise InputError(
            "a row occurs twice", where=f"{path}: {row['region']}, {row['year']}, {row['source']}"
        )
    return table


def combine_dry_matter(
    dry_matter: pd.DataFrame, factors: pd.DataFrame, *, species: Sequence[str],
    factor_sd: float = 0.25, dry_matter_sd: float = 0.3, level: float = 0.9,
) -> pd.DataFrame:  # fmt: skip
    r"""Work emissions out per species, region and period, with intervals.

    .. math:: E = \sum_b M_b F_b, \quad \sigma^2 = \sum_b (M_b F_b)^2 (s_F^2 + s_M^2 + s_F^2 s_M^2)

    An emission factor errs alike in all regions of a source, dry matter independently, so that in the
    global total only the errors of dry matter average out. Intervals are those of a lognormal distribution
    of this mean and variance.

    Parameters
    ----------
    dry_matter : DataFrame
        From `read_dry_matter`, Tg.
    factors : DataFrame
        From `read_factors`, g per kg.
    species : sequence of str
        Rows of `factors`.
    factor_sd, dry_matter_sd : float
        Relative standard deviations.
    level : float
        Coverage of the intervals.

    Returns
    -------
    DataFrame
        ``species region year [month] emission sd lower upper``, Tg; the region ``Global`` is the sum.

    Raises
    ------
    UsageError
        For an unknown species.
    InputError
        For a source without factors.
    """
    for name in species:
        if name not in factors.index:
            raise unknown("species", name, factors.index, where="emissions.species")
    for source in dry_matter["source"].unique():
        if source not in factors.columns:
            raise unknown("source", source, factors.columns, where="dry matter", error=InputError)
    when = ["year", *(["month"] if "month" in dry_matter else [])]
    parts = []
    for name in species:
        each = dry_matter["DM_Tg"] * dry_matter["source"].map(factors.loc[name]) / 1000.0
        table = dry_matter.assign(part=each, square=each**2)
        region = table.groupby(["region", *when], sort=False)[["part", "square"]].sum().reset_index()
        both = factor_sd**2 + dry_matter_sd**2 * (1.0 + factor_sd**2)
        region["variance"] = region["square"] * both
        source = table.groupby([*when, "source"], sort=False)[["part", "square"]].sum().reset_index()
        source["variance"] = (
            factor_sd**2 * source["part"] ** 2 + dry_matter_sd**2 * (1.0 + factor_sd**2) * source["square"]
        )
        whole = source.groupby(when, sort=False)[["part", "variance"]].sum().reset_index()
        whole["region"] = WHOLE
        parts.append(pd.concat([region, whole], ignore_index=True).assign(species=name))
    made = pd.concat(parts, ignore_index=True)
    made["sd"] = np.sqrt(made["variance"])
    lower, upper = _lognormal(made["part"].to_numpy(), made["sd"].to_numpy(), level)
    made = made.assign(emission=made["part"], lower=lower, upper=upper)
    return made[["species", "region", *when, "emission", "sd", "lower", "upper"]]


def _lognormal(mean: np.ndarray, sd: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Give the central interval of a lognormal distribution of a mean and a standard deviation."""
    safe = np.where(mean > 0.0, mean, 1.0)
    sigma = np.sqrt(np.log1p((sd / safe) ** 2))
    middle = np.log(safe) - sigma**2 / 2.0
    z = stats.norm.ppf((1.0 + level) / 2.0)
    return (
        np.where(mean > 0.0, np.exp(middle - z * sigma), 0.0),
        np.where(mean > 0.0, np.exp(middle + z * sigma), 0.0),
    )


def emissions_from_area(
    area: np.ndarray,
    *,
    fuel: np.ndarray | float,
    completeness: np.ndarray | float,
    factor: np.ndarray | float,
) -> np.ndarray:
    """Emission of one species, kg: burned area x fuel load x combustion completeness x emission factor.

    Seiler and Crutzen (1980, Climatic Change 2).

    Parameters
    ----------
    area : array
        Burned area, m2.
    fuel : array or float
        Fuel load, kg dry matter m-2.
    completeness : array or float
        Share of the fuel that burns, 0 to 1.
    factor : array or float
        g per kg dry matter.

    Raises
    ------
    InputError
        If a value is negative or a completeness above 1.
    """
    parts = {"area": area, "fuel": fuel, "completeness": completeness, "factor": factor}
    for name, value in parts.items():
        if np.any(np.asarray(value) < 0.0) or (name == "completeness" and np.any(np.asarray(value) > 1.0)):
            raise InputError(
                f"{name} out of range", where="emissions", remedy="0 or more; completeness at most 1"
            )
    return np.asarray(np.asarray(area) * fuel * completeness * factor / 1000.0)


def closure(
    emissions: pd.DataFrame, published: pd.DataFrame, *, species: str, region: str = WHOLE
) -> pd.DataFrame:
    """Compare one species of one region with published totals.

    Parameters
    ----------
    emissions : DataFrame
        From `combine_dry_matter`.
    published : DataFrame
        A column ``year`` and one per region, Tg.
    species, region : str

    Returns
    -------
    DataFrame
        ``year emission published percent`` (difference as a percentage of the published).

    Raises
    ------
    InputError
        If no year or the region is not in both.
    """
    if region not in published:
        raise unknown("region", region, published.columns, where="data.published", error=InputError)
    own = emissions[(emissions.species == species) & (emissions.region == region)]
    both = own.merge(published[["year", region]].rename(columns={region: "published"}), on="year")
    if both.empty:
        raise InputError("no year in common", where=f"data.published.{species}")
    both["percent"] = 100.0 * (both["emission"] - both["published"]) / both["published"]
    return both[["year", "emission", "published", "percent"]]
