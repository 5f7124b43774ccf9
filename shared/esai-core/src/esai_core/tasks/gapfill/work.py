"""The series as the methods see it: standardised anomalies of the sea's cells, kept in files during a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core.tasks.fields import FieldCycle, deviation, open_field, read_blocks, values_at
from esai_core.tasks.gapfill.blobs import LEARN, part_cells
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.scratch import Scratch, block_length, slices

__all__ = ["Work", "prepare_work"]


@dataclass(frozen=True)
class Work:
    """A field as anomalies from the cycle of what may be seen, in units of one standard deviation.

    Attributes
    ----------
    field : DataArray
        The series, not read.
    parts : Scratch (time, latitude, longitude)
        What each cell is for; see `part_cells`.
    cycle : FieldCycle
        The climatology.
    sea : array (latitude, longitude) of bool
        Cells that are seen at least once.
    anomalies : Scratch (time, cell)
        Standardised anomalies of everything observed in the sea's cells, NaN elsewhere.
    scale : float
        Standard deviation of the anomalies seen.
    spread : array (latitude, longitude)
        Standard deviation of the anomalies seen in each cell: intervals are wide where it varies.
    """

    field: xr.DataArray
    parts: Scratch
    cycle: FieldCycle
    sea: NDArray[np.bool_]
    anomalies: Scratch
    scale: float
    spread: NDArray[np.float64]

    @property
    def times_per_block(self) -> int:
        """Times of which one field is a block."""
        return block_length(*self.sea.shape)

    def blocks(self) -> list[slice]:
        """Cut the times into blocks."""
        return list(slices(len(self.parts), self.times_per_block))

    def only(self, times: slice, *kinds: int) -> NDArray[np.float32]:
        """Give the standardised anomalies of the parts named, ``(time, cell)``, NaN elsewhere."""
        return np.where(np.isin(self.parts[times][:, self.sea], kinds), self.anomalies[times], np.nan)

    def write(self, path: Path, *kinds: int) -> Scratch:
        """Write the anomalies of the parts named to a file of their own."""
        made = Scratch.create(path, self.anomalies.shape)
        for times in self.blocks():
            made[times] = self.only(times, *kinds)
        return made

    def level(self, times: slice) -> NDArray[np.float32]:
        """Give the climatology: ``(time, latitude, longitude)``."""
        return self.cycle.at(self.field["time"].values[times])

    def whole(self, times: slice, anomalies: NDArray) -> NDArray[np.float32]:
        """Bring standardised anomalies ``(time, cell)`` back to the field; NaN over land."""
        made = np.full((len(anomalies), *self.sea.shape), np.nan, np.float32)
        made[:, self.sea] = self.level(times)[:, self.sea] + anomalies * np.float32(self.scale)
        return made

    def truth(self, times: slice, *kinds: int) -> NDArray[np.float32]:
        """Give what was observed in the parts named, NaN elsewhere."""
        return np.where(np.isin(self.parts[times], kinds), values_at(self.field, times), np.nan)


def prepare_work(config: GapfillConfig, folder: Path, *kinds: int) -> Work:
    """Part the cells of the series and take the cycle from the parts named, in blocks of times.

    Parameters
    ----------
    config : GapfillConfig
    folder : path
        Where the parts and the anomalies are kept.
    *kinds : int
        Parts that may be seen.

    Raises
    ------
    InputError
        If the series is too short, or damaged.
    """
    field = open_field(config.data.field, config.data.variable, least=12)
    parts = Scratch.create(folder / "parts.npy", field.shape, np.int8)
    for times, values in read_blocks(field):
        parts[times] = np.where(np.isnan(values), 0, LEARN)
    part_cells(parts, **config.hide.model_dump())
    cycle = FieldCycle.fit(field, name=config.cycle, seen=lambda times: np.isin(parts[times], kinds))
    sea = np.asarray(np.isfinite(cycle.levels).any(0))
    anomalies = Scratch.create(folder / "anomalies.npy", (len(parts), int(sea.sum())))
    count, total, squares = (np.zeros(anomalies.shape[1]) for _ in range(3))
    for times, values in read_blocks(field):
        away = (values - cycle.at(field["time"].values[times]))[:, sea]
        anomalies[times] = away
        seen = np.isin(parts[times][:, sea], kinds)
        for frame, here in zip(np.where(seen, away, 0).astype(np.float64), seen, strict=True):
            count += here
            total += frame
            squares += frame**2
    scale = float(deviation(count.sum(), total.sum(), squares.sum())) or 1.0
    spread = np.ones(sea.shape)
    spread[sea] = deviation(count, total, squares) / scale
    for times in slices(len(anomalies), block_length(anomalies.shape[1])):
        anomalies[times] = anomalies[times] / np.float32(scale)
    return Work(field, parts, cycle, sea, anomalies, scale, np.maximum(spread, 0.1) * scale)
