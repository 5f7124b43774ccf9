"""Emissions per species from forecast burned area: conversions, fitted on the training rows of each fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from esai_core.errors import InputError, unknown
from esai_fire.folds import Plan

__all__ = ["Conversion", "Emitted", "chain_conversion", "emitted_by_sources", "gfas_conversion"]

#: Years with fire and emissions that a regression needs.
_FEWEST = 5


@dataclass(frozen=True)
class Emitted:
    """What was emitted, and how it follows from burned area.

    Attributes
    ----------
    species : (S,) names.
    observed : (S, C, n) kg (or the unit of the table), NaN where unknown.
    conversion : fitted once per outer training set.
    factor_sd : (S, C, K) relative standard deviation of what the species' emission factors bring, 0 for GFAS.
    """

    species: tuple[str, ...]
    observed: np.ndarray
    conversion: Conversion
    factor_sd: np.ndarray


@dataclass(frozen=True)
class Conversion:
    r"""Emission of a burned area: :math:`E = e^{a} A^{b}`, and 0 where nothing burns.

    Attributes
    ----------
    log_scale : (S, C, K) a of each species, series and outer training set; NaN where none could be fitted.
    slope : (S, C, K) b.
    """

    log_scale: np.ndarray
    slope: np.ndarray

    def of(self, area: np.ndarray, species: int, outer: np.ndarray) -> np.ndarray:
        """Convert burned area (C, ...) with the fits of the outer sets `outer`, which broadcast to it.

        Parameters
        ----------
        area : (C, n) or (C, K, n) array
            NaN stays.
        species : int
            Position of the species.
        outer : int array
            Outer set of each row (n,), or of each set (K, 1).
        """
        scale, slope = self.log_scale[species][:, outer], self.slope[species][:, outer]
        burned = area > 0.0
        made = np.exp(scale + slope * np.log(np.where(burned, area, 1.0)))
        return np.where(burned, made, np.where(np.isnan(area) | np.isnan(scale), np.nan, 0.0))


def gfas_conversion(area: np.ndarray, emission: np.ndarray, biome: np.ndarray, plan: Plan) -> Conversion:
    r"""Regress the logarithm of emissions on that of burned area, with an intercept for each biome.

    .. math:: \log E_{ct} = a_{b(c)} + \beta_s \log A_{ct} + \varepsilon_{ct}

    over the training rows with fire, by least squares; cells share the slope of a species, regions another.
    The mean on the scale of E follows by Duan's (1983, J. Am. Stat. Assoc. 78) smearing: a is raised by the
    logarithm of the ratio of the sums of observed and fitted emissions of the biome, so that totals of the
    training rows are kept.

    Parameters
    ----------
    area : (C, n) array
        Burned area.
    emission : (S, C, n) array
        Of the same cells, regions and rows.
    biome : (C,) int array
        Land-cover class of a cell; of a region its own number below 0.
    plan : Plan

    Returns
    -------
    Conversion
        NaN for series of a biome without five training rows with fire.
    """
    count, cells, _ = emission.shape
    sets = plan.sets[plan.outer] > 0.0
    log_scale = np.full((count, cells, sets.shape[0]), np.nan)
    slope = np.full_like(log_scale, np.nan)
    for s in range(count):
        there = np.isfinite(area) & np.isfinite(emission[s]) & (area > 0.0) & (emission[s] > 0.0)
        x, y = (np.log(np.where(there, values, 1.0)) for values in (area, emission[s]))
        for k, rows in enumerate(sets):
            used = there & rows
            for part in (biome >= 0, biome < 0):
                _fit_biomes(x, y, used, np.flatnonzero(part), biome, log_scale[s, :, k], slope[s, :, k])
    return Conversion(log_scale, slope)


def _fit_biomes(
    x: np.ndarray, y: np.ndarray, used: np.ndarray, members: np.ndarray, biome: np.ndarray,
    log_scale: np.ndarray, slope: np.ndarray,
) -> None:  # fmt: skip
    """Fit one slope and an intercept for each biome of some series, into the arrays at the end."""
    groups = [members[biome[members] == one] for one in np.unique(biome[members])]
    groups = [group for group in groups if used[group].sum() >= _FEWEST]
    cross = square = 0.0
    for group in groups:
        own = used[group]
        dx, dy = (values[group][own] - values[group][own].mean() for values in (x, y))
        cross, square = cross + float(dx @ dy), square + float(dx @ dx)
    beta = cross / square if square > 0.0 else 1.0
    for group in groups:
        own = used[group]
        fitted = beta * x[group][own]
        log_scale[group] = np.log(np.exp(y[group][own]).sum() / np.exp(fitted).sum())
        slope[group] = beta


def emitted_by_sources(dry_matter: np.ndarray, sources: Sequence[str], factors: pd.DataFrame) -> np.ndarray:
    """Work emissions out from dry matter of each source.

    Parameters
    ----------
    dry_matter : (B, C, n) array
    sources : (B,) names
    factors : DataFrame
        g per kg, a row per species and a column per source.

    Returns
    -------
    numpy.ndarray
        (S, C, n), in the unit of the dry matter.

    Raises
    ------
    InputError
        For a source without factors.
    """
    for name in sources:
        if name not in factors.columns:
            raise unknown("source", name, factors.columns, where="data.emission_factors", error=InputError)
    table = factors[list(sources)].to_numpy(np.float64) / 1000.0
    return np.einsum("sb,bcn->scn", table, dry_matter)


def chain_conversion(
    area: np.ndarray, dry_matter: np.ndarray, sources: Sequence[str], factors: pd.DataFrame, plan: Plan, *,
    factor_sd: float,
) -> tuple[Conversion, np.ndarray]:  # fmt: skip
    r"""Dry matter burned per area and source on the training rows, times emission factors.

    .. math:: E_s = A \sum_b m_b F_{sb}, \qquad m_b = \sum_t M_{bt} / \sum_t A_t

    Parameters
    ----------
    area : (C, n) array
        What is forecast: burned area, or dry matter itself.
    dry_matter : (B, C, n) array
        Burned dry matter of each source.
    sources, factors
        As in `emitted_by_sources`.
    plan : Plan
    factor_sd : float
        Relative standard deviation of an emission factor, independent between sources.

    Returns
    -------
    (Conversion, factor_sd (S, C, K))
    """
    known = np.isfinite(area) & np.isfinite(dry_matter).all(axis=0)
    weights = (plan.sets[plan.outer] > 0.0).astype(np.float64)
    total = np.einsum("cn,kn->ck", np.where(known, area, 0.0), weights)
    matter = np.einsum("bcn,kn->bck", np.where(known, dry_matter, 0.0), weights)
    burned = total > 0.0
    per_area = np.where(burned, matter / np.where(burned, total, 1.0), np.nan)
    table = factors[list(sources)].to_numpy(np.float64) / 1000.0
    parts = table[:, :, None, None] * per_area[None]
    whole = parts.sum(axis=1)
    with_factor = whole > 0.0
    safe = np.where(with_factor, whole, 1.0)
    log_scale = np.where(with_factor, np.log(safe), np.where(whole == 0.0, -np.inf, np.nan))
    share = np.sqrt((parts**2).sum(axis=1)) / safe
    sd = np.where(with_factor, factor_sd * share, 0.0)
    return Conversion(log_scale, np.ones_like(log_scale)), sd
