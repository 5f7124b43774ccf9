"""The series filled by every method, in blocks of times: no field is ever in memory for all times."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from esai_core.tasks.gapfill.blobs import time_runs
from esai_core.tasks.gapfill.config import GapfillConfig
from esai_core.tasks.gapfill.eof import Matrix, interpolate_in_time
from esai_core.tasks.gapfill.network import Filled, fill, refine
from esai_core.tasks.gapfill.work import Work
from esai_core.tasks.scratch import Scratch, block_length, evenly, lazy_rows, slices
from esai_core.uncertainty import SplitConformal

__all__ = ["METHODS", "Fields", "calibrate", "fill_all"]

METHODS = ("climatology", "interpolation", "eof", "network")
CALIBRATED = 1_000_000
"""Most cells that intervals are calibrated on, evenly spread over those that choose."""


@dataclass(frozen=True)
class Fields:
    """What methods make of a series.

    Attributes
    ----------
    work : Work
    made : mapping of str to Scratch (time, cell)
        Standardised anomalies, of all methods but the climatology.
    """

    work: Work
    made: Mapping[str, Matrix]

    def values(self, method: str, times: slice) -> NDArray[np.float32]:
        """Give the field that a method makes, NaN over land."""
        work = self.work
        if method == "climatology":
            return work.whole(
                times, np.zeros((times.stop - times.start, work.anomalies.shape[1]), np.float32)
            )
        return work.whole(times, self.made[method][times])

    def lazy(self, make: Callable[[slice], NDArray[np.float32]]) -> xr.DataArray:
        """Make an array of dask, in blocks of times, of a function that gives some times."""
        work, field = self.work, self.work.field
        values = lazy_rows(make, len(work.parts), work.times_per_block, work.sea.shape)
        return xr.DataArray(values, field.coords, field.dims, str(field.name), dict(field.attrs))

    def of(self, method: str) -> xr.DataArray:
        """Give the field that a method makes, as an array of dask."""
        return self.lazy(partial(self.values, method))


def fill_all(
    work: Work,
    seen: Filled | Scratch,
    model: Any,
    modes: int,
    config: GapfillConfig,
    room: Path,
    *,
    methods: Collection[str] = METHODS,
) -> Fields:
    """Fill by some methods from the same cells.

    Parameters
    ----------
    work : Work
    seen : Scratch (time, cell) or Filled
        What is seen, standardised; with the filling by EOFs where that is there already.
    model : keras.Model
    modes : int
    config : GapfillConfig
    room : path
        Where the fields are kept.
    methods : collection of str
    """
    made: dict[str, Matrix] = {}
    known = seen.seen if isinstance(seen, Filled) else seen
    if "interpolation" in methods:
        made["interpolation"] = Scratch.create(room / "interpolation.npy", known.shape)
        for cells in slices(known.shape[1], block_length(known.shape[0])):
            made["interpolation"][:, cells] = interpolate_in_time(known[:, cells])
    if {"eof", "network"} & set(methods):
        filled = seen if isinstance(seen, Filled) else fill(seen, room / "eof.npy", modes, config)
        made["eof"] = filled.made
        if "network" in methods:
            made["network"] = refine(model, filled, work, room / "network.npy", config)
    return Fields(work, made)


def calibrate(fields: Fields, method: str, held: Scratch, config: GapfillConfig) -> SplitConformal:
    """Calibrate intervals on the cells kept back to choose by, in runs of times.

    At most `CALIBRATED` cells, evenly spread, are used.

    Parameters
    ----------
    fields : Fields
    method : str
        The one that is delivered.
    held : Scratch (time, cell)
        Standardised truth of the cells kept back, NaN elsewhere.
    config : GapfillConfig
    """
    work = fields.work
    per_time = np.concatenate([(~np.isnan(held[times])).sum(1) for times in work.blocks()])
    used = evenly(int(per_time.sum()), CALIBRATED)
    size, labels = work.spread[work.sea] / work.scale, time_runs(len(held), duration=config.hide.duration)
    scores, blocks, passed = [], [], 0
    for times in work.blocks():
        truth = held[times]
        guess = 0.0 if method == "climatology" else fields.made[method][times]
        there = ~np.isnan(truth)
        missed = (np.abs(truth - guess) / size)[there]
        here = used[(used >= passed) & (used < passed + len(missed))] - passed
        scores.append(missed[here])
        blocks.append(np.repeat(labels[times], per_time[times])[here])
        passed += len(missed)
    missed = np.concatenate(scores)
    conformal = SplitConformal(coverage=config.coverage, pooled=True)
    return conformal.fit(missed, np.zeros_like(missed), blocks=np.concatenate(blocks))
