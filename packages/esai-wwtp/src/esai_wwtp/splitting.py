"""Which examples train, which choose, and which are scored: blocks of space with a buffer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import UsageError
from esai_core.splits import spatial_blocks
from esai_core.splits.space import block_labels
from esai_wwtp.chips import Chips
from esai_wwtp.config import SplitConfig

__all__ = ["Parts", "new_chips", "split_chips", "write_split"]

INNER_FOLDS = 8
"""One of so many parts of the training blocks chooses the epoch and the threshold."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Positions of the chips that train, that choose, and that are scored (none, where others are)."""

    train: NDArray[np.int64]
    validate: NDArray[np.int64]
    test: NDArray[np.int64]


def split_chips(chips: Chips, config: SplitConfig, *, test_elsewhere: bool = False) -> Parts:
    """Split chips by blocks of space; the validation part comes out of the training part in the same way.

    Parameters
    ----------
    chips : Chips
        Their coordinates count.
    config : SplitConfig
        Blocks, buffer, fold, or the UTM zone to hold out.
    test_elsewhere : bool
        The test examples come from other files: none is held out here.

    Returns
    -------
    Parts

    Raises
    ------
    UsageError
        If there are too few blocks, or the zone to hold out has no chip, or all.
    """
    everything = np.arange(len(chips), dtype=np.int64)
    if test_elsewhere:
        train, test = everything, everything[:0]
    elif config.test_zone is not None:
        train, test = _by_zone(chips, config.test_zone)
    else:
        train, test = _block_fold(chips, everything, config, config.folds, config.fold)
    fit, validate = _block_fold(chips, train, config, INNER_FOLDS, 0)
    return Parts(fit, validate, test)


def _block_fold(
    chips: Chips, among: NDArray[np.int64], config: SplitConfig, folds: int, number: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give training and test chips of a fold of blocks; not more folds than there are blocks."""
    lat, lon = chips.latitude[among], chips.longitude[among]
    blocks = len(np.unique(block_labels(lat, lon, size_km=config.block_km)))
    if blocks < 2 or blocks <= number:
        raise UsageError(
            f"{blocks} blocks of {config.block_km:g} km in the chips",
            where="split.block_km",
            remedy="give smaller blocks, or more scenes",
        )
    k = min(folds, blocks)
    fold = spatial_blocks(lat, lon, size_km=config.block_km, buffer_km=config.buffer_km, k=k)[number]
    return among[fold.train], among[fold.test]


def _by_zone(chips: Chips, zone: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    held = chips.zones == zone
    if held.all() or not held.any():
        raise UsageError(
            f"{held.sum()} of {len(chips)} chips lie in UTM zone {zone}",
            where="split.test_zone",
            remedy=f"zones here: {', '.join(map(str, sorted(set(chips.zones.tolist()))))}",
        )
    return np.flatnonzero(~held).astype(np.int64), np.flatnonzero(held).astype(np.int64)


def write_split(chips: Chips, split: Parts, path: Path) -> None:
    """Write which chip is in which part: ``chip, latitude, longitude, part`` (buffer: in none)."""
    import pandas as pd

    part = np.full(len(chips), "buffer", dtype=object)
    for name in ("train", "validate", "test"):
        part[getattr(split, name)] = name
    table = {"chip": chips.names, "latitude": chips.latitude, "longitude": chips.longitude, "part": part}
    pd.DataFrame(table).to_csv(path, index=False)


def new_chips(chips: Chips, path: Path) -> NDArray[np.int64]:
    """Give the chips that are not of the training: the test part, or all chips of another file.

    Parameters
    ----------
    chips : Chips
    path : Path
        What `write_split` wrote.

    Returns
    -------
    array of int
        Positions.
    """
    import pandas as pd

    table = pd.read_csv(path, dtype={"chip": str})
    used = table[table["part"] != "test"]
    known = set(zip(used["chip"], used["latitude"].round(5), used["longitude"].round(5), strict=True))
    mine = zip(chips.names, np.round(chips.latitude, 5), np.round(chips.longitude, 5), strict=True)
    found = np.array([one not in known for one in mine])
    if not found.any():
        raise UsageError("every chip was used in training", where="data.chips", remedy="give others")
    return np.flatnonzero(found).astype(np.int64)
