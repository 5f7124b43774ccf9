r"""Weights on a grid that distribute national totals, and conserve them.

A plant :math:`i` of country :math:`c` with methane :math:`m_i` in the cell :math:`x` gives

.. math:: w_c(x) = \sum_{i \in c,\, i \in x} m_i \Big/ \sum_{i \in c,\, i \in G} m_i, \qquad \sum_x w_c(x) = 1

over the plants on the grid :math:`G`, and :math:`CH_4(x) = \sum_c T_c\, w_c(x)` with the national totals
:math:`T_c`. Cells are half-open, so a plant on an edge counts once; longitudes are compared around the Earth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import InputError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["CellGrid", "Proxy", "distribute", "national_totals"]

EARTH_RADIUS = 6_371_008.8
SECONDS = 365.0 * 86400.0
"""Seconds of the year that the emission factors are for."""

Fallback = Callable[[str], NDArray[np.float64]]


@dataclass(frozen=True)
class CellGrid:
    """A regular grid of half-open cells ``[west, east) x [south, north)``.

    Attributes
    ----------
    longitude_edges, latitude_edges : array
        Ascending, in degrees; the longitudes may cross the antimeridian (170 ... 190).
    """

    longitude_edges: NDArray[np.float64]
    latitude_edges: NDArray[np.float64]

    @classmethod
    def regular(
        cls, *, west: float, east: float, south: float, north: float, spacing: float | tuple[float, float]
    ) -> CellGrid:
        """Make a grid from its bounds and the size of its cells (one number, or longitude and latitude).

        Raises
        ------
        UsageError
            If the bounds are no whole number of cells, out of order or beyond the Earth.
        """
        steps = spacing if isinstance(spacing, tuple) else (spacing, spacing)
        east = east + 360.0 if east <= west else east
        if not (-90 <= south < north <= 90 and east - west <= 360 + 1e-9):
            raise UsageError(
                f"a grid of {west:g} ... {east:g} E, {south:g} ... {north:g} N", where="proxy.grid"
            )
        return cls(_edges(west, east, steps[0], "longitude"), _edges(south, north, steps[1], "latitude"))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (latitude) and columns (longitude)."""
        return len(self.latitude_edges) - 1, len(self.longitude_edges) - 1

    @property
    def is_global(self) -> bool:
        """Whether the grid goes all around the Earth."""
        return bool(self.longitude_edges[-1] - self.longitude_edges[0] >= 360 - 1e-9)

    @property
    def area(self) -> NDArray[np.float64]:
        """Area of the cells on the sphere, ``(latitude, longitude)``, m2."""
        bands = np.diff(np.sin(np.radians(self.latitude_edges)))
        return EARTH_RADIUS**2 * bands[:, None] * np.radians(np.diff(self.longitude_edges))[None, :]

    def locate(
        self, latitude: ArrayLike, longitude: ArrayLike
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give row and column of places, -1 off the grid.

        A cell has its southern and western edge; the pole belongs to the northernmost row.
        """
        lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
        rows = np.searchsorted(self.latitude_edges, lat, side="right") - 1
        rows = np.where((lat == 90.0) & (self.latitude_edges[-1] == 90.0), self.shape[0] - 1, rows)
        west, east = self.longitude_edges[0], self.longitude_edges[-1]
        turned = lon.copy()
        away = (lon < west) | (lon >= east)  # a longitude within the edges is not touched: no rounding
        turned[away] = west + np.mod(lon[away] - west, 360.0)
        turned = np.where(turned >= west + 360.0, west, turned)
        columns = np.searchsorted(self.longitude_edges, turned, side="right") - 1
        if self.is_global:
            columns = np.minimum(columns, self.shape[1] - 1)
        inside = np.isfinite(lat) & np.isfinite(lon)
        inside &= (rows >= 0) & (rows < self.shape[0]) & (columns >= 0) & (columns < self.shape[1])
        return np.where(inside, rows, -1).astype(np.int64), np.where(inside, columns, -1).astype(np.int64)

    def box(self, west: float, south: float, east: float, north: float) -> NDArray[np.bool_]:
        """Mark the cells whose centre lies in a box of degrees."""
        lat = (self.latitude_edges[1:] + self.latitude_edges[:-1]) / 2
        lon = (self.longitude_edges[1:] + self.longitude_edges[:-1]) / 2
        across = np.mod(lon - west, 360.0) <= np.mod(east - west, 360.0)
        return ((lat >= south) & (lat <= north))[:, None] & across[None, :]


def _edges(first: float, last: float, step: float, name: str) -> NDArray[np.float64]:
    if not step > 0:
        raise UsageError(f"cells of {step:g} degrees", where="proxy.grid.spacing")
    count = round((last - first) / step)
    if count < 1 or abs(count * step - (last - first)) > 1e-6 * step * count + 1e-9:
        raise UsageError(
            f"{name}s from {first:g} to {last:g} are no whole number of cells of {step:g}", where="proxy.grid"
        )
    return np.round(first + (last - first) * np.arange(count + 1) / count, 10)


@dataclass(frozen=True)
class Proxy:
    """What `distribute` gives.

    Attributes
    ----------
    countries : list of str
        In alphabetical order.
    weight : array (country, latitude, longitude)
        Each country sums to 1.
    totals : dict
        Country to kg CH4 per year that the grid holds.
    plants : DataFrame
        The plants with ``row``, ``column`` (-1 off the grid) and ``status``: assigned, off_grid or
        no_emission.
    counts : dict
        Country to ``{plants, assigned, off_grid, no_emission, fallback}`` and ``off_grid_share``.
    """

    grid: CellGrid
    countries: list[str]
    weight: NDArray[np.float64]
    totals: dict[str, float]
    plants: pd.DataFrame
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def ch4(self) -> NDArray[np.float64]:
        """Methane of each cell, ``(latitude, longitude)``, kg per year."""
        totals = np.array([self.totals[name] for name in self.countries])
        return np.tensordot(totals, self.weight, axes=1)

    def dataset(self) -> xr.Dataset:
        """Give weights, methane and cell areas as a CF dataset."""
        import xarray as xr

        lat, lon = self.grid.latitude_edges, self.grid.longitude_edges
        area, cells = self.grid.area, ("latitude", "longitude")
        conserved = {"cell_methods": "area: sum", "gnfr": "J_Waste", "nfr": "5D1", "ipcc2006": "4D1"}
        name = "surface_upward_mass_flux_of_methane_due_to_emission_from_waste_treatment_and_disposal"
        data = {
            "weight": (
                ("country", *cells),
                self.weight,
                {"units": "1", "long_name": "share of the national total in the cell", **conserved},
            ),
            "ch4": (cells, self.ch4, {"units": "kg yr-1", "long_name": "methane emission", **conserved}),
            "ch4_flux": (
                cells,
                self.ch4 / SECONDS / area,
                {"units": "kg m-2 s-1", "standard_name": name, "cell_methods": "area: mean"},
            ),
            "cell_area": (cells, area, {"units": "m2", "standard_name": "cell_area"}),
            "national_total": (
                "country",
                np.array([self.totals[country] for country in self.countries]),
                {"units": "kg yr-1", "long_name": "national methane emission that the grid holds"},
            ),
            "latitude_bnds": (("latitude", "nv"), np.stack([lat[:-1], lat[1:]], 1)),
            "longitude_bnds": (("longitude", "nv"), np.stack([lon[:-1], lon[1:]], 1)),
        }
        for key in ("plants", "assigned", "off_grid", "no_emission", "fallback"):
            values = np.array([int(self.counts[country][key]) for country in self.countries], dtype="int32")
            data[f"n_{key}"] = ("country", values, {"long_name": f"plants: {key}", "units": "1"})
        axis = {"latitude": ("degrees_north", "Y"), "longitude": ("degrees_east", "X")}
        coords = {
            dim: (
                dim,
                (edges[1:] + edges[:-1]) / 2,
                {"units": axis[dim][0], "standard_name": dim, "axis": axis[dim][1], "bounds": f"{dim}_bnds"},
            )
            for dim, edges in (("latitude", lat), ("longitude", lon))
        }
        coords["country"] = ("country", np.array(self.countries, dtype=object), {"long_name": "ISO 3166-1"})
        return xr.Dataset(data, coords=coords)


def national_totals(plants: pd.DataFrame, given: Mapping[str, float] | None = None) -> dict[str, float]:
    """Give the total of each country: the one that is given, else the sum over its plants.

    Parameters
    ----------
    plants : DataFrame
        With ``country`` and ``ch4`` (kg per year).
    given : mapping, optional
        Country to kg CH4 per year.

    Returns
    -------
    dict
        Every country of the plants and of `given`.
    """
    sums = {
        str(name): math.fsum(group["ch4"].dropna())
        for name, group in plants.groupby("country", observed=True)
    }
    return dict(sorted({**sums, **(given or {})}.items()))


def distribute(
    plants: pd.DataFrame,
    grid: CellGrid,
    *,
    totals: Mapping[str, float] | None = None,
    off_grid: str = "redistribute",
    fallback: Fallback | None = None,
) -> Proxy:
    """Distribute national totals over the cells of a grid by the methane of plants.

    Parameters
    ----------
    plants : DataFrame
        ``country, latitude, longitude, ch4``; ch4 in kg per year, NaN or 0 for plants that emit nothing
        known.
    grid : CellGrid
    totals : mapping, optional
        Country to kg per year; the sum over its plants without.
    off_grid : {"redistribute", "exclude"}
        What becomes of the share of plants off the grid: the whole total goes to the plants on it, or the
        grid holds the rest alone. Both are counted.
    fallback : callable, optional
        ``fallback(country) -> (latitude, longitude)`` of weights, for a country without a plant on the grid.

    Returns
    -------
    Proxy

    Raises
    ------
    InputError
        If a plant has no coordinates, methane is negative, or a country has no plant and no fallback.
    """
    if off_grid not in ("redistribute", "exclude"):
        raise UsageError(f"off_grid = {off_grid!r}", remedy="redistribute or exclude")
    table = plants.reset_index(drop=True).copy()
    _check_plants(table)
    table["row"], table["column"] = grid.locate(table["latitude"], table["longitude"])
    emits = table["ch4"].fillna(0.0) > 0
    table["status"] = np.where(emits, np.where(table["row"] >= 0, "assigned", "off_grid"), "no_emission")
    wanted = national_totals(table, totals)
    weight = np.zeros((len(wanted), *grid.shape))
    held, counts = {}, {}
    for number, (country, total) in enumerate(wanted.items()):
        own = table[table["country"] == country]
        on = own[own["status"] == "assigned"]
        everything = math.fsum(own.loc[own["status"] != "no_emission", "ch4"])
        lost = math.fsum(own.loc[own["status"] == "off_grid", "ch4"])
        uses_fallback = on.empty and total > 0
        if uses_fallback:
            weight[number] = _fallback_weights(country, grid, fallback)
        elif not on.empty:
            np.add.at(weight[number], (on["row"].to_numpy(), on["column"].to_numpy()), on["ch4"].to_numpy())
        weight[number] = _normalised(weight[number])
        share = lost / everything if everything else 0.0
        kept = 1.0 - share if off_grid == "exclude" and not uses_fallback else 1.0
        held[country] = total * kept
        status = own["status"].value_counts()
        counts[country] = {
            "plants": len(own),
            **{name: int(status.get(name, 0)) for name in ("assigned", "off_grid", "no_emission")},
            "fallback": int(uses_fallback),
            "off_grid_share": share,
        }
    return Proxy(grid, list(wanted), weight, held, table, counts)


def _normalised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to a sum of 1, exactly rounded; a field of zeros (a total of 0) stays."""
    top = values.max(initial=0.0)
    if top == 0:
        return values
    scaled = values / top  # so that neither tiny nor huge emissions lose their digits
    return scaled / math.fsum(scaled.ravel())


def _fallback_weights(country: str, grid: CellGrid, fallback: Fallback | None) -> NDArray[np.float64]:
    if fallback is None:
        raise InputError(
            f"no plant of {country} on the grid",
            where=f"proxy.totals.{country}",
            remedy=f"declare proxy.fallback.{country}, or leave the country out",
        )
    values = np.nan_to_num(np.asarray(fallback(country), dtype=np.float64))
    if values.shape != grid.shape or (values < 0).any() or not values.any():
        raise InputError(
            f"the fallback of {country} puts nothing on the grid", where=f"proxy.fallback.{country}"
        )
    return values


def _check_plants(table: pd.DataFrame) -> None:
    for name in ("country", "latitude", "longitude", "ch4"):
        if name not in table:
            raise InputError(f"no column {name}", where="plants")
    for name in ("latitude", "longitude"):
        if not np.isfinite(table[name]).all():
            first = table.index[~np.isfinite(table[name])][0]
            raise InputError(f"{name} is {table[name][first]}", where=f"plants, row {first}")
    if (table["ch4"] < 0).any() or np.isinf(table["ch4"]).any():
        first = table.index[(table["ch4"] < 0) | np.isinf(table["ch4"])][0]
        raise InputError(f"methane of {table['ch4'][first]:g} kg per year", where=f"plants, row {first}")
    if table["country"].isna().any():
        raise InputError("a plant without a country", where="plants")
