"""Temperature over relief: a baseline that knows how high the fine grid's cells lie."""

from __future__ import annotations

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.grid import regrid

__all__ = ["STANDARD", "fit_lapse_rate", "to_relief"]

STANDARD = 0.0065
"""Fall of temperature with height in the standard atmosphere, K per m (ICAO, 1993)."""


def to_relief(
    temperature: xr.DataArray,
    coarse_orography: xr.DataArray,
    fine_orography: xr.DataArray,
    *,
    lapse_rate: float | xr.DataArray = STANDARD,
) -> xr.DataArray:
    r"""Interpolate temperature to a finer grid along the lapse rate.

    .. math:: T_f = B(T_c + \Gamma z_c) - \Gamma z_f

    Temperature is brought to sea level on the coarse grid, interpolated (:math:`B`, bilinear) and brought to
    the heights of the fine grid, as elevation corrections of reanalyses do (Sheridan et al., 2010, Meteorol.
    Appl. 17, section 2).

    Parameters
    ----------
    temperature : DataArray
        ``(..., latitude, longitude)`` on the coarse grid, K or degC.
    coarse_orography, fine_orography : DataArray
        ``(latitude, longitude)``, m, finite.
    lapse_rate : float or DataArray
        :math:`\Gamma`, K per m, positive where it is colder above; a DataArray (per month, say) without the
        two spatial dims.

    Returns
    -------
    DataArray
        On the fine grid, with the attributes of `temperature`.

    Raises
    ------
    InputError
        If an orography has missing values or is not on its grid.
    """
    for name, orography in (("coarse", coarse_orography), ("fine", fine_orography)):
        if bool(orography.isnull().any()):
            raise InputError(f"missing values in the {name} orography", remedy="give 0 m over the sea")
    grid = {name: temperature[name] for name in ("latitude", "longitude")}
    here = coarse_orography.reindex(grid, method="nearest", tolerance=1e-3)
    if bool(here.isnull().any()):
        raise InputError("the coarse orography is not on the grid of the temperature", where=temperature.name)
    sea_level = temperature + lapse_rate * here
    result = regrid(sea_level, fine_orography, method="bilinear") - lapse_rate * fine_orography
    result = result.transpose(*temperature.dims)
    result.attrs = dict(temperature.attrs)
    return result.rename(temperature.name)


def fit_lapse_rate(
    fine: xr.DataArray, coarse: xr.DataArray, fine_orography: xr.DataArray, coarse_orography: xr.DataArray
) -> float:
    r"""Estimate the lapse rate from pairs of coarse and fine fields of the training part.

    The detail that interpolation misses is regressed on the relief that it misses, through the origin:

    .. math:: \Gamma = -\frac{\sum (T_f - B T_c)(z_f - B z_c)}{\sum (z_f - B z_c)^2}

    Parameters
    ----------
    fine, coarse : DataArray
        ``(time, latitude, longitude)``, K: the same times.
    fine_orography, coarse_orography : DataArray
        ``(latitude, longitude)``, m.

    Returns
    -------
    float
        K per m; about 0.0065 in a mean year, less in winter, negative under inversions.

    Raises
    ------
    InputError
        If the relief that is missed is flat.
    """
    detail = fine - regrid(coarse, fine, method="bilinear")
    relief = fine_orography - regrid(coarse_orography, fine_orography, method="bilinear")
    grid = {name: fine[name] for name in ("latitude", "longitude")}
    relief = relief.reindex(grid, method="nearest", tolerance=1e-3)
    valid = detail.notnull() & relief.notnull()
    below = float((relief**2).where(valid).sum())
    if not below > 0 or not np.isfinite(below):
        raise InputError("no relief that the coarse grid misses", where=fine_orography.name)
    return -float((detail * relief).where(valid).sum()) / below
