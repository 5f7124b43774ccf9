"""What the tasks share: reading a gridded series, its cycle, and its scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import xarray as xr

from esai_core import io, verify
from esai_core.errors import EsaiError, InputError
from esai_core.grid import area_weights
from esai_core.transforms import Anomaliser

__all__ = ["CycleName", "FieldCycle", "need_networks", "open_field", "score_methods", "write_history"]

CycleName = Literal["month", "hour", "none"]


def need_networks() -> None:
    """Refuse, before any work, to train where the extra for networks is not installed.

    Raises
    ------
    EsaiError
        Naming what to install.
    """
    missing = [name for name in ("keras", "tensorflow") if find_spec(name) is None]
    if missing:
        raise EsaiError(
            f"this task trains a network, and {' and '.join(missing)} is not installed",
            remedy="pip install 'esai-core[tensorflow]'",
        )


def open_field(path: Path, variable: str | None, *, least: int) -> xr.DataArray:
    """Read a gridded series into memory.

    Parameters
    ----------
    path : path
        NetCDF, Zarr or GRIB with ``(time, latitude, longitude)``.
    variable : str, optional
        May be left out where the file holds one.
    least : int
        Fewest times that make sense.

    Returns
    -------
    DataArray
        float32, times in order, evenly spaced apart from the lengths of months.

    Raises
    ------
    InputError
        If times are too few, repeated or uneven, or nothing is there.
    """
    field = io.load(io.open_reference(path, variable=variable)).astype("float32").sortby("time")
    times = field["time"].values
    if len(times) < least:
        raise InputError(f"{len(times)} times", where=path, remedy=f"give at least {least}")
    steps = np.diff(times) / np.timedelta64(1, "h")
    if steps.min() <= 0 or steps.max() > 1.15 * steps.min():
        raise InputError(
            f"steps of {steps.min():g} to {steps.max():g} hours",
            where=path,
            remedy="give an even series, gaps as NaN",
        )
    if not bool(field.notnull().any()):
        raise InputError("all values are missing", where=path)
    return field


@dataclass(frozen=True, eq=False)
class FieldCycle:
    """Mean of each cell by calendar month or hour of the day, fitted on what a method may see."""

    anomaliser: Anomaliser
    name: CycleName

    @classmethod
    def fit(cls, field: xr.DataArray, *, name: CycleName) -> Self:
        """Fit the cycle; NaN is left out.

        A cell that was never seen in a month takes its mean over the year, plus what that month differs by in
        the mean of all cells.
        """
        fitted = Anomaliser.fit(_labelled(field), group={"none": None}.get(name, name))
        level = fitted.level
        group = level.dims[0]
        usual = level.mean(group)
        course = (level - usual).mean(("latitude", "longitude"))
        return cls(replace(fitted, level=level.fillna(usual + course)), name)

    def level(self, field: xr.DataArray) -> xr.DataArray:
        """Give the climatology at the times of `field`."""
        labelled = _labelled(field)
        there = labelled.copy(data=np.zeros(labelled.shape, "float32"))
        return self.anomaliser.inverse(there).drop_vars("hour")


def _labelled(field: xr.DataArray) -> xr.DataArray:
    return field.assign_coords(hour=("time", field["time"].dt.hour.values))


def score_methods(
    methods: Mapping[str, xr.DataArray],
    truth: xr.DataArray,
    *,
    climatology: xr.DataArray,
    by: str | None = None,
) -> dict[str, Any]:
    """Score every method by area on the cells that all have: rmse, mae, bias and acc.

    Parameters
    ----------
    methods : mapping of str to DataArray
        ``(..., latitude, longitude)``.
    truth, climatology : DataArray
        Of the same shape, NaN in the truth where nothing is scored.
    by : str, optional
        Dimension to repeat the table for.

    Returns
    -------
    dict
        Parts of metrics.json.
    """
    return verify.score_table(
        methods,
        truth,
        scores=("rmse", "mae", "bias", "acc"),
        by=() if by is None else (by,),
        weights=area_weights(truth["latitude"]),
        climatology=climatology,
    )


def write_history(run: Any, rows: list[dict[str, float]], *, network: int = 0) -> None:
    """Add the epochs of a training to history.csv, under the number of the network."""
    for row in rows:
        run.add_history({"network": network, **row})
