r"""Sentinel-5P (TROPOMI) level-2 NO2 files: good pixels with their corners, columns and averaging kernels.

Layout and names are those of the product (van Geffen et al., S5P-KNMI-L2-0021-MA, Product User Manual):
group ``PRODUCT`` with ``SUPPORT_DATA/GEOLOCATIONS``, ``.../DETAILED_RESULTS`` and ``.../INPUT_DATA`` inside.

The tropospheric kernel follows from that of the whole column by its air-mass factors (section 8.8 there),

.. math:: A^{trop}_l = A_l \, M / M^{trop} \quad (l \le l_{tp}), \qquad A^{trop}_l = 0 \quad (l > l_{tp}),

and a model's column as the instrument would see it is :math:`\sum_l A^{trop}_l x_l` with its partial columns
:math:`x_l` in the layers of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import InputError, UsageError, nearest

__all__ = ["MOLECULES_PER_CM2", "Swath", "apply_kernel", "read_s5p", "tropospheric_kernel"]

MOLECULES_PER_CM2 = 6.02214e19
"""Molecules per cm2 of one mol per m2."""

Array = NDArray[np.float64]
_GEO = "SUPPORT_DATA/GEOLOCATIONS"
_INPUT = "SUPPORT_DATA/INPUT_DATA"


@dataclass(frozen=True)
class Swath:
    """Good pixels of one orbit.

    Attributes
    ----------
    latitude, longitude : array (pixel, 4)
        Corners, degrees, in order around the pixel.
    time : datetime64[ns] array (pixel,)
        UTC, of the scanline.
    column, precision : array (pixel,)
        Tropospheric vertical column and its standard error, molecules/cm2. Small negative values are noise
        about
        0 and stay.
    qa : array (pixel,)
        Quality, 0 to 1.
    kernel : array (pixel, layer), optional
        Tropospheric averaging kernel, from the surface upwards.
    pressure : array (pixel, layer + 1), optional
        Pressure at the bounds of the layers, Pa.
    total : int
        Pixels of the file, good or not.
    """

    latitude: Array
    longitude: Array
    time: NDArray[np.datetime64]
    column: Array
    precision: Array
    qa: Array
    kernel: Array | None = None
    pressure: Array | None = None
    total: int = 0

    def __len__(self) -> int:
        return len(self.column)

    def take(self, which: ArrayLike) -> Swath:
        """Give some of the pixels, by a mask or positions."""
        kept = {
            one.name: value if value is None or one.name == "total" else value[which]
            for one in fields(self)
            for value in [getattr(self, one.name)]
        }
        return Swath(**kept)


def read_s5p(path: str | Path, *, qa: float = 0.75, kernels: bool = False) -> Swath:
    """Read the good pixels of a file.

    Parameters
    ----------
    path : path
        An L2 NO2 file (OFFL, RPRO or NRTI).
    qa : float
        Pixels need a ``qa_value`` above this: 0.75 removes cloudy ones (cloud radiance fraction above one
        half),
        snow and ice, errors.
    kernels : bool
        Also read the tropospheric averaging kernels.

    Returns
    -------
    Swath

    Raises
    ------
    InputError
        If it is no such file, truncated, or its column has other units than mol m-2.
    """
    import netCDF4

    path = Path(path)
    if not path.is_file():
        near = [other.name for other in path.parent.glob("*.nc")] if path.parent.is_dir() else []
        raise InputError("no such file", where=path, remedy=nearest(path.name, near) if near else None)
    try:
        with netCDF4.Dataset(path) as file:
            if "PRODUCT" not in file.groups:
                raise InputError(
                    "no group PRODUCT: this is no Sentinel-5P level-2 file", where=path,
                    remedy="give the .nc file of an L2__NO2___ product",
                )  # fmt: skip
            return _read(_Group(file.groups["PRODUCT"], path), qa, kernels)
    except (OSError, RuntimeError) as error:
        raise InputError(f"the file is truncated or damaged ({error})", where=path) from error


class _Group:
    """The group PRODUCT of an open file."""

    def __init__(self, group: Any, path: Path) -> None:
        self.group, self.path = group, path

    def variable(self, name: str) -> Any:
        """Find a variable by its name below PRODUCT."""
        node, *rest = self.group, *name.split("/")
        for part in rest[:-1]:
            if part not in node.groups:
                raise InputError(f"no group {part!r}", where=f"{self.path}, PRODUCT/{name}")
            node = node.groups[part]
        if rest[-1] not in node.variables:
            raise InputError(
                f"no variable {rest[-1]!r}", where=f"{self.path}, PRODUCT/{name}",
                remedy=nearest(rest[-1], node.variables),
            )  # fmt: skip
        return node.variables[rest[-1]]

    def values(self, name: str) -> Array:
        """Read a variable, unpacked, NaN where it is filled; the dimension time of length 1 is dropped."""
        variable = self.variable(name)
        found = np.ma.filled(np.ma.asarray(variable[:], np.float64), np.nan)
        return np.asarray(found[0] if variable.dimensions[:1] == ("time",) else found, np.float64)


def _read(group: _Group, qa: float, kernels: bool) -> Swath:
    name = "nitrogendioxide_tropospheric_column"
    units = str(getattr(group.variable(name), "units", "")).strip()
    if units not in ("mol m-2", "mol/m2", "mol m^-2"):
        raise InputError(
            f"units {units!r}", where=f"{group.path}, {name}", remedy="level-2 files have mol m-2"
        )
    column = group.values(name) * MOLECULES_PER_CM2
    quality = group.values("qa_value")
    lat, lon = group.values(f"{_GEO}/latitude_bounds"), group.values(f"{_GEO}/longitude_bounds")
    # stored as whole hundredths: compared as such, so that 0.75 is not above 0.75
    good = np.round(quality * 100) > np.round(qa * 100)
    good &= np.isfinite(column) & np.isfinite(lat).all(axis=2) & np.isfinite(lon).all(axis=2)
    seconds = np.nan_to_num(group.values("delta_time")) / 1000.0
    start = np.datetime64("2010-01-01T00:00:00", "ns") + _nanoseconds(group.values("time"))
    scan = start + _nanoseconds(seconds if seconds.ndim == 1 else seconds[:, 0])
    kernel = pressure = None
    if kernels:
        kernel = tropospheric_kernel(
            group.values("averaging_kernel")[good],
            total=group.values("air_mass_factor_total")[good],
            troposphere=group.values("air_mass_factor_troposphere")[good],
            tropopause=group.values("tm5_tropopause_layer_index")[good],
        )
        a, b = _half_levels(group.values("tm5_constant_a")), _half_levels(group.values("tm5_constant_b"))
        pressure = a + b * group.values(f"{_INPUT}/surface_pressure")[good][:, None]
    return Swath(
        latitude=lat[good],
        longitude=lon[good],
        time=np.broadcast_to(scan[:, None], good.shape)[good],
        column=column[good],
        precision=(group.values(f"{name}_precision") * MOLECULES_PER_CM2)[good],
        qa=quality[good],
        kernel=kernel,
        pressure=pressure,
        total=good.size,
    )


def _nanoseconds(seconds: Any) -> Any:
    """Turn seconds to timedelta64; the product counts its time from 2010-01-01."""
    return np.round(np.asarray(seconds) * 1e9).astype("timedelta64[ns]")


def _half_levels(constant: Array) -> Array:
    """Join the lower and upper constants (layer, 2) of the layers to those of their bounds (layer + 1,)."""
    return np.append(constant[:, 0], constant[-1, 1])


def tropospheric_kernel(
    kernel: ArrayLike, *, total: ArrayLike, troposphere: ArrayLike, tropopause: ArrayLike
) -> Array:
    """Make the kernel of the tropospheric column from that of the whole column.

    Parameters
    ----------
    kernel : array (pixel, layer)
        ``averaging_kernel``, from the surface upwards.
    total, troposphere : array (pixel,)
        Air-mass factors.
    tropopause : array (pixel,)
        ``tm5_tropopause_layer_index``: the highest layer of the troposphere, counted from 0.

    Returns
    -------
    array (pixel, layer)
        0 above the tropopause; NaN where an air-mass factor or the tropopause is missing.
    """
    values = np.asarray(kernel, np.float64)
    top = np.asarray(tropopause, np.float64)[:, None]
    factor = np.asarray(total, np.float64) / np.asarray(troposphere, np.float64)
    inside = np.arange(values.shape[1])[None, :] <= top
    out = np.where(inside, values * factor[:, None], 0.0)
    return np.where(np.isfinite(top) & (top >= 0) & np.isfinite(factor)[:, None], out, np.nan)


def apply_kernel(partial: ArrayLike, kernel: ArrayLike) -> Array:
    """Give a model's tropospheric column as the instrument would see it.

    Parameters
    ----------
    partial : array (pixel, layer)
        Partial columns of the model in the layers of the kernel, in any units.
    kernel : array (pixel, layer)
        As `tropospheric_kernel` gives it.

    Returns
    -------
    array (pixel,)
        In the units of `partial`.

    Raises
    ------
    UsageError
        If the shapes differ.
    """
    profile, weights = np.asarray(partial, np.float64), np.asarray(kernel, np.float64)
    if profile.shape != weights.shape:
        raise UsageError(
            f"partial columns of shape {profile.shape} for kernels of shape {weights.shape}",
            remedy="bring the model to the layers of the kernel first",
        )
    return np.asarray((profile * weights).sum(axis=-1))
