"""The series as the networks see it: standardised anomalies, kept in a file while a run is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core import io
from esai_core.errors import InputError
from esai_core.tasks.fields import FieldCycle, deviation, open_field, read_blocks, values_at
from esai_core.tasks.nextframe.config import NextframeConfig
from esai_core.tasks.scratch import Scratch, block_length, slices

__all__ = ["Work", "blocks_of", "prepare_work"]


@dataclass(frozen=True)
class Work:
    """The series as anomalies from the cycle of the training part, in standard deviations.

    Attributes
    ----------
    field : DataArray
        The series, not read.
    cycle : FieldCycle
        Its climatology.
    anomalies : Scratch (time, latitude, longitude)
        Standardised; 0 where left out.
    land : array (latitude, longitude) of bool
        Cells that are left out.
    scale : float
    phases : array (time, 2)
        Cosine and sine of the cycle.
    leads : tuple of int
    train, choose, test : array of int
        Starts whose window and truths lie within their part.
    fitted : array of int
        Steps of the training part.
    """

    field: xr.DataArray
    cycle: FieldCycle
    anomalies: Scratch
    land: NDArray[np.bool_]
    scale: float
    phases: NDArray[np.float64]
    leads: tuple[int, ...]
    train: NDArray[np.int64]
    choose: NDArray[np.int64]
    test: NDArray[np.int64]
    fitted: NDArray[np.int64]

    @property
    def starts_per_block(self) -> int:
        """Starts whose forecasts of one method are a block."""
        return block_length(len(self.leads), *self.land.shape)

    def truth(self, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give what was observed: ``(start, lead, latitude, longitude)``, NaN where left out.

        Parameters
        ----------
        starts : array of int
            In order, near to each other: all times between them are read.
        """
        first = int(starts[0]) + min(self.leads)
        near = values_at(self.field, slice(first, int(starts[-1]) + max(self.leads) + 1))
        return self._at_sea(np.stack([near[starts + lead - first] for lead in self.leads], axis=1))

    def climatology(self, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give the climatology: ``(start, lead, latitude, longitude)``, NaN where left out."""
        times = self.field["time"].values
        return self._at_sea(np.stack([self.cycle.at(times[starts + lead]) for lead in self.leads], axis=1))

    def _at_sea(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        values[..., self.land] = np.nan
        return values


def prepare_work(config: NextframeConfig, folder: Path) -> Work:
    """Cut the series in the order of time and take the cycle from the first part.

    Parameters
    ----------
    config : NextframeConfig
    folder : path
        Where the anomalies are kept; what is there already is taken.

    Raises
    ------
    InputError
        If the series is too short, or damaged.
    """
    field = open_field(config.data.field, config.data.variable, least=20)
    steps, window, longest = field.sizes["time"], config.network.window, max(config.leads)
    first, second = (
        round(config.split.train * steps),
        round((config.split.train + config.split.choose) * steps),
    )
    train, choose, test = (
        np.arange(begin + window - 1, end - longest)
        for begin, end in ((0, first), (first, second), (second, steps))
    )
    if min(map(len, (train, choose, test))) < 5:
        raise InputError(
            f"{steps} times leave {len(train)}, {len(choose)} and {len(test)} starts to train, choose, test",
            where=config.data.field,
            remedy="give a longer series, shorter leads or a smaller window",
        )
    if not folder.exists():
        with io.atomic_path(folder) as aside:
            write_anomalies(field, first, config, aside)
    with np.load(folder / "fitted.npz") as stored:
        cycle = FieldCycle(stored["levels"], stored["groups"], config.cycle)
        land, scale = stored["land"], float(stored["scale"])
    dates = field["time"].dt
    turn = {"hour": dates.hour / 24, "month": (dates.month - 1) / 12}.get(config.cycle)
    angle = 2 * np.pi * (np.zeros(steps) if turn is None else turn.values)
    return Work(
        field=field,
        cycle=cycle,
        anomalies=Scratch.open(folder / "anomalies.npy"),
        land=land,
        scale=scale,
        phases=np.stack([np.cos(angle), np.sin(angle)], axis=1),
        leads=config.leads,
        train=train,
        choose=choose,
        test=test,
        fitted=np.arange(first),
    )


def write_anomalies(field: xr.DataArray, first: int, config: NextframeConfig, folder: Path) -> None:
    """Fit the cycle and the scale on the first times, and write the anomalies of all, block by block."""
    cycle = FieldCycle.fit(field.isel(time=slice(0, first)), name=config.cycle)
    land = np.isnan(cycle.levels).any(0)
    anomalies = Scratch.create(folder / "anomalies.npy", field.shape)
    total, squares = np.zeros(land.shape), np.zeros(land.shape)
    for times, values in read_blocks(field):
        away = values - cycle.at(field["time"].values[times])
        land |= np.isnan(away).any(0)
        anomalies[times] = away
        for frame in away[: max(0, first - times.start)].astype(np.float64):
            total += frame
            squares += frame**2
    sea = ~land
    if not sea.any():
        raise InputError(
            "every cell has a missing value",
            where=field.name,
            remedy="fill the gaps first: esai-core gapfill",
        )
    scale = float(deviation(first * sea.sum(), total[sea].sum(), squares[sea].sum())) or 1.0
    for times in slices(len(anomalies), block_length(*land.shape)):
        anomalies[times] = np.where(land, 0, anomalies[times] / np.float32(scale))
    np.savez(folder / "fitted.npz", levels=cycle.levels, groups=cycle.groups, land=land, scale=scale)


def blocks_of(starts: NDArray[np.int64], config: NextframeConfig) -> NDArray[np.int64]:
    """Label starts by blocks of the longest lead, over which errors are alike."""
    return (starts - starts[0]) // max(2, max(config.leads))
