r"""Methane of wastewater by the IPCC 2019 Refinement (Volume 5, Chapter 6).

.. math::
    \mathrm{TOW} = P \cdot \mathrm{BOD} \cdot 10^{-3} \cdot 365, \qquad
    \mathrm{CH_4} = (\mathrm{TOW} - S) \cdot \mathrm{EF} - R

(equations 6.3 and 6.1), with the load :math:`P` in population equivalents, :math:`\mathrm{BOD}` in g per
person and day, the sludge :math:`S` in kg BOD and the recovered methane :math:`R` in kg. A population
equivalent holds industry already, so there is no factor for it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import InputError, UsageError, unknown

__all__ = [
    "BOD_EUROPE",
    "DISCHARGES",
    "PATHWAYS",
    "REMOVALS",
    "Factor",
    "discharge_methane",
    "factor_interval",
    "methane",
    "organic_load",
]

BOD_EUROPE = 60.0
"""BOD in g per person and day (IPCC 2019, Table 6.4, Europe)."""
B0 = 0.6
"""Largest methane yield in kg per kg BOD (Table 6.2)."""


@dataclass(frozen=True)
class Factor:
    """An emission factor in kg CH4 per kg BOD, with its range (Table 6.3).

    The published central factor is used as it stands; low and high are the range of the methane correction
    factor times `B0`.
    """

    central: float
    low: float
    high: float


PATHWAYS: Mapping[str, Factor] = {
    "centralised_aerobic": Factor(0.018, B0 * 0.003, B0 * 0.09),
    "anaerobic_reactor": Factor(0.48, B0 * 0.8, B0 * 1.0),
    "shallow_lagoon": Factor(0.12, 0.0, B0 * 0.3),
    "deep_lagoon": Factor(0.48, B0 * 0.8, B0 * 1.0),
    "septic_tank": Factor(0.3, B0 * 0.4, B0 * 0.72),
}
"""Treatment systems."""

DISCHARGES: Mapping[str, Factor] = {
    "tier1": Factor(0.068, B0 * 0.004, B0 * 0.27),
    "river": Factor(0.021, B0 * 0.004, B0 * 0.06),
    "lake": Factor(0.114, B0 * 0.08, B0 * 0.27),
}
"""What the effluent is led into."""

REMOVALS: Mapping[str, float] = {"none": 0.0, "primary": 0.40, "secondary": 0.85, "tertiary": 0.90}
"""Share of the BOD that a level of treatment removes (Table 6.6B)."""


def organic_load(pe: ArrayLike, *, bod: float = BOD_EUROPE) -> NDArray[np.float64]:
    """Give the organic load of a year.

    Parameters
    ----------
    pe : array
        Load in population equivalents, not negative; NaN stays NaN.
    bod : float
        g BOD per population equivalent and day.

    Returns
    -------
    array
        kg BOD per year (equation 6.3, with the correction for industry 1).
    """
    load = np.asarray(pe, dtype=np.float64)
    if (load < 0).any() or np.isinf(load).any():
        raise InputError("a load is negative or infinite", where="population equivalents")
    if not 0 < bod < 1000:
        raise UsageError(f"a BOD of {bod:g} g per person and day", remedy="in Europe it is about 60")
    return load * (bod * 0.001 * 365.0)


def methane(
    pe: ArrayLike,
    *,
    pathway: str = "centralised_aerobic",
    bod: float = BOD_EUROPE,
    sludge: ArrayLike = 0.0,
    recovered: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Give the methane of treatment (equation 6.1).

    Parameters
    ----------
    pe : array
        Load in population equivalents.
    pathway : str
        One of `PATHWAYS`.
    bod : float
        g BOD per population equivalent and day.
    sludge : array
        Organic matter removed as sludge, kg BOD per year.
    recovered : array
        Methane recovered or flared, kg per year.

    Returns
    -------
    array
        kg CH4 per year.

    Raises
    ------
    InputError
        If more sludge is removed than there is load, or more methane recovered than made.
    """
    if pathway not in PATHWAYS:
        raise unknown("pathway", pathway, PATHWAYS)
    rest = organic_load(pe, bod=bod) - np.asarray(sludge, dtype=np.float64)
    made = rest * PATHWAYS[pathway].central - np.asarray(recovered, dtype=np.float64)
    if (rest < 0).any():
        raise InputError("more sludge is removed than there is organic load", where="sludge")
    if (made < 0).any():
        raise InputError("more methane is recovered than is made", where="recovered")
    return made


def discharge_methane(
    pe: ArrayLike, *, level: str, water: str = "tier1", bod: float = BOD_EUROPE
) -> NDArray[np.float64]:
    """Give the methane of the effluent in its receiving water (equation 6.3D).

    Parameters
    ----------
    pe : array
        Load entering the plant, in population equivalents.
    level : str
        Level of treatment, of `REMOVALS`.
    water : str
        One of `DISCHARGES`.
    bod : float
        g BOD per population equivalent and day.

    Returns
    -------
    array
        kg CH4 per year.
    """
    if level not in REMOVALS:
        raise unknown("level of treatment", level, REMOVALS)
    if water not in DISCHARGES:
        raise unknown("receiving water", water, DISCHARGES)
    return organic_load(pe, bod=bod) * (1.0 - REMOVALS[level]) * DISCHARGES[water].central


def factor_interval(
    ch4: ArrayLike,
    *,
    pathway: str = "centralised_aerobic",
    load_interval: tuple[ArrayLike, ArrayLike] | None = None,
    load: Any = None,
    bod_error: float = 0.30,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    r"""Give an interval for the methane of plants.

    The relative half-widths of factor, BOD (30 %, Table 6.7) and load are independent, and add in
    quadrature on each side (IPCC 2019, Volume 1, equation 3.1):

    .. math:: CH_4 \left(1 \mp \sqrt{u_{EF}^2 + u_{BOD}^2 + u_{P}^2}\right)

    Parameters
    ----------
    ch4 : array
        kg per year.
    pathway : str
        One of `PATHWAYS`.
    load_interval : pair of array, optional
        Lower and upper load in population equivalents; the load is taken as exact without.
    load : array, optional
        The load itself, needed with `load_interval`.
    bod_error : float
        Relative half-width of the BOD.

    Returns
    -------
    low, high : array
        kg per year; low is not below 0.
    """
    if pathway not in PATHWAYS:
        raise unknown("pathway", pathway, PATHWAYS)
    factor = PATHWAYS[pathway]
    value = np.asarray(ch4, dtype=np.float64)
    squares = []
    for bound, number in ((factor.low, 0), (factor.high, 1)):
        total = np.full(value.shape, (bound / factor.central - 1.0) ** 2 + bod_error**2)
        if load_interval is not None:
            if load is None:
                raise UsageError("an interval of the load needs the load")
            central, end = np.asarray(load, dtype=np.float64), np.asarray(load_interval[number], np.float64)
            share = np.divide(end, central, out=np.ones(np.shape(central)), where=central != 0)
            total = total + (share - 1.0) ** 2
        squares.append(total)
    below, above = (np.sqrt(total) for total in squares)
    return value * np.maximum(1.0 - below, 0.0), value * (1.0 + above)
