"""What the tasks share: reading a gridded series, its cycle, and its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from esai_core import io, verify
from esai_core.errors import EsaiError, InputError
from esai_core.grid import area_weights
from esai_core.tasks import scratch

__all__ = [
    "CycleName",
    "FieldCycle",
    "deviation",
    "need_networks",
    "open_field",
    "read_blocks",
    "score_methods",
    "values_at",
    "write_history",
]

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
    """Open a gridded series, to be read by `values_at` a block of times at a time.

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
        Not read yet; times in order, evenly spaced apart from the lengths of months.

    Raises
    ------
    InputError
        If times are too few, repeated or uneven, or nothing is there.
    """
    field = io.open_reference(path, variable=variable).sortby("time")
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
    if not any(np.isfinite(values).any() for _, values in read_blocks(field)):
        raise InputError("all values are missing", where=path)
    return field


def values_at(field: xr.DataArray, times: slice) -> NDArray[np.float32]:
    """Read some times of a series: ``(time, latitude, longitude)``, in single precision.

    Raises
    ------
    InputError
        If the file turns out to be damaged.
    """
    return io.load(field.isel(time=times)).values.astype(np.float32, copy=False)


def read_blocks(field: xr.DataArray) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Go through a series in blocks of `BLOCK_BYTES`, of whole stored chunks where these are smaller."""
    length = scratch.block_length(*field.shape[1:])
    stored = int(field.encoding.get("preferred_chunks", {}).get("time", 1))
    if stored <= length:
        length = length // stored * stored
    for times in scratch.slices(field.sizes["time"], length):
        yield times, values_at(field, times)


@dataclass(frozen=True, eq=False)
class FieldCycle:
    """Mean of each cell by calendar month or hour of the day, fitted on what a method may see.

    Attributes
    ----------
    levels : array (group, latitude, longitude), float32
        NaN for cells without any value.
    groups : array (group,) of int
        Months, hours, or 0 alone.
    name : {"month", "hour", "none"}
    """

    levels: NDArray[np.float32]
    groups: NDArray[np.int64]
    name: CycleName

    @classmethod
    def fit(
        cls, field: xr.DataArray, *, name: CycleName, seen: Callable[[slice], NDArray[np.bool_]] | None = None
    ) -> Self:
        """Fit the cycle in one pass over the series, in bounded memory; NaN is left out.

        A cell that was never seen in a month takes its mean over the year, plus what that month differs by in
        the mean of all cells.

        Parameters
        ----------
        field : DataArray (time, latitude, longitude)
            As from `open_field`.
        name : {"month", "hour", "none"}
        seen : callable, optional
            Gives the cells to use of some times, ``(time, latitude, longitude)``; all by default.

        Raises
        ------
        InputError
            If no cell has a value.
        """
        groups, codes = np.unique(_labels(field["time"].values, name), return_inverse=True)
        total = np.zeros((len(groups), *field.shape[1:]))
        count = np.zeros(total.shape, np.int64)
        for times, values in read_blocks(field):
            there = ~np.isnan(values)
            if seen is not None:
                there &= seen(times)
            for code, frame, known in zip(codes[times], values, there, strict=True):
                total[code] += np.where(known, frame, 0)
                count[code] += known
        if not count.any():
            raise InputError("no climatology: all values are NaN", where=field.name)
        mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
        level = xr.DataArray(mean, dims=("group", "latitude", "longitude"))
        usual = level.mean("group")
        course = (level - usual).mean(("latitude", "longitude"))
        return cls(level.fillna(usual + course).values.astype(np.float32), groups, name)

    def at(self, times: NDArray[np.datetime64]) -> NDArray[np.float32]:
        """Give the climatology at some times: ``(time, latitude, longitude)``.

        Raises
        ------
        InputError
            If a month or hour was not in what the cycle was fitted on.
        """
        labels = _labels(times, self.name)
        unfitted = np.setdiff1d(labels, self.groups)
        if len(unfitted):
            raise InputError(
                f"no climatology of the {self.name} {unfitted[0]}: no time to learn from has it",
                remedy="give a longer series, or another cycle",
            )
        return self.levels[np.searchsorted(self.groups, labels)]


def _labels(times: NDArray[np.datetime64], name: CycleName) -> NDArray[np.int64]:
    dates = pd.DatetimeIndex(times)
    labels = {"month": dates.month, "hour": dates.hour}.get(name)
    return np.zeros(len(times), np.int64) if labels is None else labels.to_numpy(np.int64)


def deviation(count: Any, total: Any, squares: Any) -> Any:
    """Give the standard deviation of values from their number, their sum and that of their squares."""
    return np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0.0))


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
    with scratch.few_threads():
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
