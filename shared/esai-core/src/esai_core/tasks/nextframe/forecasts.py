"""The forecasts of every method, block of starts by block: none of them is ever in memory for all starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core import nn, training
from esai_core.errors import UsageError
from esai_core.runs import RunFolder
from esai_core.tasks.nextframe.baselines import Damping
from esai_core.tasks.nextframe.config import NextframeConfig
from esai_core.tasks.nextframe.network import examples, targets
from esai_core.tasks.nextframe.work import Work, blocks_of
from esai_core.tasks.scratch import Scratch, block_length, evenly, few_threads, lazy_rows, slices
from esai_core.uncertainty import SplitConformal
from esai_core.verify import rmse

__all__ = [
    "BASELINES",
    "Forecasts",
    "calibrate",
    "load_damping",
    "make_forecasts",
    "mean_errors",
    "methods",
    "open_forecasts",
]

BASELINES = ("climatology", "persistence", "damped")
CALIBRATED = 4096
"""Most starts that intervals are calibrated on, evenly spread over the part that chooses."""


def methods(config: NextframeConfig) -> list[str]:
    """Name the methods of a run: the baselines, the networks, and their mean where there are several."""
    several = ["mean"] if len(config.network.kinds) > 1 else []
    return [*BASELINES, *config.network.kinds, *several]


def load_damping(config: NextframeConfig, run: RunFolder) -> Damping:
    """Read the damping that was fitted."""
    with np.load(run.find("model/damping.npz")) as stored:
        return Damping(stored["factors"], config.leads)


@dataclass(frozen=True)
class Forecasts:
    """What every method forecasts from some starts.

    Attributes
    ----------
    work : Work
    starts : array of int
        Steps in a row.
    damping : Damping
    networks : mapping of str to Scratch (start, lead, latitude, longitude)
        What each network made, standardised.
    names : list of str
        Methods.
    """

    work: Work
    starts: NDArray[np.int64]
    damping: Damping
    networks: Mapping[str, Scratch]
    names: list[str]

    def away(self, method: str, places: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Forecast the standardised anomaly from the starts at some places.

        Returns
        -------
        array (start, lead, latitude, longitude)
            One lead stands for all where they are the same.
        """
        anomalies, starts = self.work.anomalies, self.starts[places]
        if method == "climatology":
            return np.zeros((1, 1, 1, 1), np.float32)
        if method == "persistence":
            return anomalies[starts][:, None]
        if method == "damped":
            return self.damping.forecast(anomalies, starts)
        if method == "mean":
            return np.mean([made[places] for made in self.networks.values()], axis=0)
        return self.networks[method][places]

    def values(self, method: str, places: NDArray[np.int64] | slice) -> NDArray[np.float32]:
        """Forecast the field itself, NaN where left out."""
        away = self.away(method, places) * np.float32(self.work.scale)
        return self.work.climatology(self.starts[places]) + away

    def dataset(self) -> xr.Dataset:
        """Give all methods, the climatology and the truth as arrays of dask, in blocks of starts."""
        made = {name: self._lazy(partial(self.values, name)) for name in self.names}
        made["climatology_level"] = self._lazy(lambda rows: self.work.climatology(self.starts[rows]))
        made["truth"] = self._lazy(lambda rows: self.work.truth(self.starts[rows]))
        return xr.Dataset(made)

    def _lazy(self, make: Callable[[slice], NDArray[np.float32]]) -> xr.DataArray:
        work = self.work
        coords = {
            "start": work.field["time"].values[self.starts],
            "lead": np.asarray(work.leads, np.int64),
            "latitude": work.field["latitude"],
            "longitude": work.field["longitude"],
        }
        shape = (len(work.leads), *work.land.shape)
        values = lazy_rows(make, len(self.starts), work.starts_per_block, shape)
        return xr.DataArray(values, coords, tuple(coords), str(work.field.name), work.field.attrs)


def make_forecasts(
    work: Work, starts: NDArray[np.int64], config: NextframeConfig, run: RunFolder, folder: Path
) -> Forecasts:
    """Have the networks forecast; the other methods are made when they are asked for.

    Parameters
    ----------
    work : Work
    starts : array of int
    config : NextframeConfig
    run : RunFolder
        With the networks.
    folder : path
        Where what they make is kept.
    """
    damping = load_damping(config, run)
    networks: dict[str, Scratch] = {}
    for kind in config.network.kinds:
        model = nn.load(run.find(f"model/{kind}.keras"))
        made = Scratch.create(folder / f"{kind}.npy", (len(starts), len(config.leads), *work.land.shape))
        for at in slices(len(starts), work.starts_per_block):
            inputs = examples(
                work.anomalies,
                work.land,
                work.phases,
                starts[at],
                damping,
                kind=kind,
                window=config.network.window,
            )
            made[at] = np.moveaxis(training.predict(model, inputs, batch_size=config.train.batch_size), -1, 1)
        networks[kind] = made
    return Forecasts(work, starts, damping, networks, methods(config))


def calibrate(forecasts: Forecasts, method: str, config: NextframeConfig, folder: Path) -> SplitConformal:
    """Calibrate the intervals of a method, for each cell and lead by itself.

    At most `CALIBRATED` starts, evenly spread, are used. Their errors are written to a file, of which some
    rows of the grid at a time are read.

    Parameters
    ----------
    forecasts : Forecasts
        On the part that chooses.
    method : str
        The one that is delivered.
    config : NextframeConfig
    folder : path
        Where the errors are kept.

    Raises
    ------
    UsageError
        If there are too few blocks of starts for the coverage.
    """
    work, used = forecasts.work, evenly(len(forecasts.starts), CALIBRATED)
    blocks = blocks_of(forecasts.starts[used], config)
    errors = Scratch.create(folder / "errors.npy", (len(used), len(config.leads), *work.land.shape))
    for at in slices(len(used), work.starts_per_block):
        truth = targets(work.anomalies, work.land, forecasts.starts[used[at]], config.leads)
        missed = np.moveaxis(truth, -1, 1) - forecasts.away(method, used[at])
        errors[at] = missed * np.float32(work.scale)
    half = np.full(errors.shape[1:], np.inf)
    refusal = None
    rows_per_block = block_length(len(used), len(config.leads), work.land.shape[1], itemsize=8)
    for rows in slices(work.land.shape[0], rows_per_block):
        misses = errors[:, :, rows]
        try:
            fitted = SplitConformal(coverage=config.coverage).fit(
                misses, np.zeros_like(misses), blocks=blocks
            )
            half[:, rows] = fitted.interval(0.0).upper
        except UsageError as error:  # none of these rows has enough; others may have
            refusal = error
    if refusal is not None and not np.isfinite(half).any():
        raise refusal
    return SplitConformal(coverage=config.coverage, below=half, above=half)


def open_forecasts(run: RunFolder) -> xr.Dataset:
    """Open the forecasts of the test part, in blocks of starts."""
    tested = xr.open_dataset(run.find("forecast.nc"), engine="netcdf4", decode_timedelta=False)
    _, *rest = tested["truth"].shape
    return tested.chunk(start=block_length(*rest))


def mean_errors(tested: xr.Dataset, names: Sequence[str]) -> list[xr.DataArray]:
    """Give the root mean square errors of some methods over all starts: ``(lead, latitude, longitude)``."""
    with few_threads():
        wanted = xr.Dataset({name: rmse(tested[name], tested["truth"], dim="start") for name in names})
        return list(wanted.compute().data_vars.values())
