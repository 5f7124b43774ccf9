"""CRPS of forecasts that are distributions, as EMOS (Gneiting et al. 2005) gives and fits them."""

from __future__ import annotations

from functools import partial

import numpy as np
import scoringrules
import xarray as xr

from esai_core.align import aligned, as_array, each
from esai_core.errors import InputError
from esai_core.verify._average import Dims, mean


def crps_normal(
    location: xr.DataArray,
    scale: xr.DataArray,
    observed: xr.DataArray,
    *,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the CRPS of normal distributions, s (z (2 F(z) - 1) + 2 f(z) - pi^-1/2), z = (y - m) / s.

    Gneiting et al. (2005), eq. 5, computed by scoringrules.

    Parameters
    ----------
    location, scale : DataArray
        Mean and standard deviation (> 0) of the forecast; `scale` on any dimensions of `location`.
    observed, dim, weights
        As in `bias`.

    Raises
    ------
    InputError
        If a scale is zero or less, or coordinates or units differ.
    """
    return _crps(partial(scoringrules.crps_normal, backend="numpy"), location, scale, observed, dim, weights)


def crps_censored_normal(
    location: xr.DataArray,
    scale: xr.DataArray,
    observed: xr.DataArray,
    *,
    lower: float = 0.0,
    dim: Dims = None,
    weights: xr.DataArray | None = None,
) -> xr.DataArray:
    """Return the CRPS of normal distributions censored from below, for the (cube root of) precipitation.

    All probability below `lower` sits at `lower` (Thorarinsdottir and Gneiting 2010; Jordan et al. 2019,
    appendix A), computed by scoringrules. Parameters and errors as in `crps_normal`.
    """
    score = partial(scoringrules.crps_cnormal, lower=lower, upper=np.inf, backend="numpy")
    return _crps(score, location, scale, observed, dim, weights)


def _crps(
    score: partial,
    location: xr.DataArray,
    scale: xr.DataArray,
    observed: xr.DataArray,
    dim: Dims,
    weights: xr.DataArray | None,
) -> xr.DataArray:
    location = as_array(location, "location")
    observed = aligned(location, as_array(observed, "observed"), names=("location", "observed"))
    scale = aligned(location, as_array(scale, "scale"), names=("location", "scale"), units=False)

    def block(m: np.ndarray, s: np.ndarray, y: np.ndarray) -> np.ndarray:
        if np.any(s <= 0):
            raise InputError("a standard deviation is zero or less", where="scale", remedy="give values > 0")
        return score(y, m, s)

    return mean(each(block, location, scale, observed), dim, weights)
