"""Predict with the delivered method and write the ensemble as CF NetCDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.io import write_netcdf
from esai_core.io.names import VARIABLES
from esai_core.uncertainty import Interval, with_interval
from esai_seasonal.calibration import COVERAGE
from esai_seasonal.data import Data, on_fine_grid
from esai_seasonal.fitting import Fitted

__all__ = ["predict", "write"]


def predict(fitted: Fitted, hindcast: xr.DataArray, data: Data, *, method: str | None = None) -> xr.DataArray:
    """Correct a coarse forecast with one method.

    Parameters
    ----------
    fitted : Fitted
        From `esai_seasonal.fit`.
    hindcast : DataArray
        ``(start, lead, number, latitude, longitude)`` on the hindcast's grid and in the unit of the
        reference.
    data : Data
        The inputs of the fit: their grid is the one to predict on.
    method : str, optional
        The delivered one by default.

    Returns
    -------
    DataArray
        The ensemble on the fine grid, dimensions as of `hindcast`.
    """
    if method is None:
        method = fitted.selection.delivered if fitted.selection is not None else fitted.methods[-1]
    ensemble = fitted.predict(method, hindcast, on_fine_grid(hindcast, data.grid))
    if data.kind == "multiplicative":
        ensemble = ensemble.clip(min=0.0)
    return ensemble


def write(
    ensemble: xr.DataArray,
    path: Path,
    *,
    name: str,
    units: str,
    method: str,
    source: dict[str, Any],
    interval: Interval | None = None,
) -> Path:
    """Write an ensemble as CF-1.11 NetCDF, with its method and inputs in the global attributes.

    Parameters
    ----------
    ensemble : DataArray
        ``(start, lead, number, latitude, longitude)`` with ``valid_time``; dask-backed ones are streamed.
    path : Path
        File to write, whole or not at all.
    name : str
        Canonical name of the variable.
    units : str
        Its unit.
    method : str
        The method that made it.
    source : dict
        Further global attributes.
    interval : Interval, optional
        ``(start, lead, latitude, longitude)``, of the truth.
    """
    known = VARIABLES.get(name)
    attrs: dict[str, Any] = {"units": units}
    if known is not None:
        attrs["long_name"] = known.long_name
        if known.standard_names:
            attrs["standard_name"] = known.standard_names[0]
    ensemble = ensemble.astype(np.float32).rename(name)
    ensemble.attrs = attrs
    ensemble["number"].attrs = {"standard_name": "realization", "long_name": "ensemble member", "units": "1"}
    provenance = {"title": f"{name} corrected by {method}", "method": method, **source}
    if interval is None:
        return write_netcdf(ensemble, path, provenance=provenance)
    text = "of the truth, from the delivered method's past errors; infinite after too many surprises"
    whole = with_interval(ensemble.to_dataset(), name, interval, coverage=COVERAGE, comment=text)
    return write_netcdf(whole, path, provenance=provenance)
