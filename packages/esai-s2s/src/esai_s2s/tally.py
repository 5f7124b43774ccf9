"""Sums of scores over the cells of one chunk, which add up over the chunks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import xarray as xr

from esai_core.verify import rps, rps_fair

__all__ = ["BINS", "Tally", "cases_of", "tally_part"]

BINS = 200
"""Steps of probability that the curves are counted in."""


@dataclass(frozen=True, eq=False)
class Tally:
    """What the scores of one variable and window are made from.

    Attributes
    ----------
    plain, fair : (methods, starts)
        Sum over cells of weight times RPS, and fair RPS (NaN where a case has none).
    weight, count : (starts,)
        Sum of the weights of the cells that have an observation and a forecast of every method; their number.
    known : (categories, blocks, bins)
        Weight of the cases whose probability of a category by the delivered method lies in a bin.
    chance, happened : (categories, blocks, bins)
        Weight times probability, and weight of the cases in which the category came true.
    number : (categories, blocks, bins)
        Number of cases.
    """

    plain: np.ndarray
    fair: np.ndarray
    weight: np.ndarray
    count: np.ndarray
    known: np.ndarray
    chance: np.ndarray
    happened: np.ndarray
    number: np.ndarray

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def cases_of(ds: xr.Dataset) -> xr.Dataset:
    """Return the RPS of each case (method, start, cell), plain and fair, and the weight (cell).

    Cases that a method has no forecast for are left out of all methods.
    """
    plain, fair = [], []
    for method in ds["method"].values:
        probabilities = ds["probability"].sel({"method": method}, drop=True)
        plain.append(rps(probabilities, ds["observed"], dim=()))
        # Only raw counts are a sample of members; the others are statistical models, m = infinity.
        members = ds["members"] if method == "raw" else np.inf
        fair.append(rps_fair(probabilities, ds["observed"], members=members, dim=()))
    index = ds["method"]
    cases = xr.Dataset({"rps": xr.concat(plain, index), "fair": xr.concat(fair, index)})
    known = cases["rps"].notnull().all("method")
    return cases.where(known).assign(weight=_weights(ds))


def _weights(ds: xr.Dataset) -> xr.DataArray:
    if "latitude" in ds.coords:
        return xr.DataArray(np.cos(np.deg2rad(ds["latitude"].values)).clip(0.0), dims="cell")
    return xr.DataArray(np.ones(ds.sizes["cell"]), dims="cell")


def tally_part(path: Path, delivered: str, blocks: list[str]) -> tuple[Tally, xr.DataArray]:
    """Read the out-of-fold forecasts of one chunk and sum them up.

    Parameters
    ----------
    path : Path
        One file of ``verification/``.
    delivered : str
        Method whose curves are counted.
    blocks : list of str
        All blocks, for the order.

    Returns
    -------
    Tally
    DataArray
        RPSS of each method and cell, (method, cell).
    """
    with xr.open_dataset(path, engine="netcdf4") as opened:
        ds = opened.load()
    cases = cases_of(ds)
    weight = cases["weight"].values
    known = cases["rps"].isel(method=0).notnull().values
    # A fair score that is missing where the plain one is there (one member) has to be seen in the sum.
    fair = np.where(known & cases["fair"].isnull().values, np.nan, cases["fair"].fillna(0.0).values)
    at = np.searchsorted(np.array(blocks), ds["block"].values.astype(str))
    codes, shares = ds["observed"].values, ds["probability"].sel({"method": delivered}).values
    curves = _curves(codes, shares, weight, at, len(blocks))
    sums = cases["rps"].sum("start", min_count=1)
    skill = 1.0 - sums / sums.sel({"method": "climatology"}, drop=True)
    tally = Tally(
        (cases["rps"].fillna(0.0).values * weight).sum(axis=-1),
        (fair * weight).sum(axis=-1),
        (known * weight).sum(axis=-1),
        known.sum(axis=-1),
        *curves,
    )
    return tally, skill


def _curves(
    codes: np.ndarray, shares: np.ndarray, weight: np.ndarray, blocks: np.ndarray, number: int
) -> tuple[np.ndarray, ...]:
    """Return known, chance, happened and number (categories, blocks, bins)."""
    size = shares.shape[-1]
    found = np.zeros((4, size, number, BINS))
    for category in range(size):
        p = shares[..., category].astype(np.float64)
        there = ~np.isnan(p) & ~np.isnan(codes)
        bins = np.minimum(p[there] * BINS + 1e-6, BINS - 1).astype(np.int64)
        where = np.broadcast_to(blocks[:, None], p.shape)[there] * BINS + bins
        mass = np.broadcast_to(weight, p.shape)[there]
        event = (codes[there] == category).astype(np.float64)
        for i, values in enumerate((mass, mass * p[there], mass * event, np.ones_like(mass))):
            found[i, category] = np.bincount(where, values, number * BINS).reshape(number, BINS)
    return tuple(found)
