"""What an interrupted training run leaves, so that ``--resume`` fits only the chunks that are not done."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.config import dump_toml
from esai_core.io.atomic import atomic_path
from esai_core.runs import RunFolder
from esai_core.runs.record import clear
from esai_s2s.config import S2sConfig
from esai_s2s.fitting import Grams

__all__ = ["Part", "keep_matching", "load_parts", "once", "save_parts"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Part:
    """What the fits on one chunk of cells tell, for one window.

    Attributes
    ----------
    grams : list of Grams
        Of each fit, where the ensemble is wanted.
    cells : int
        With observations.
    """

    grams: list[Grams]
    cells: int


def save_parts(parts: Sequence[Part], path: Path) -> None:
    """Write what one chunk tells: the last thing written of it, so that its file means that it is done."""
    arrays: dict[str, Any] = {"cells": np.array([part.cells for part in parts])}
    for window, part in enumerate(parts):
        for number, gram in enumerate(part.grams):
            arrays |= {f"{window}/{number}/matrices": gram.matrices, f"{window}/{number}/mass": gram.mass}
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)


def load_parts(path: Path) -> list[Part]:
    """Read what `save_parts` wrote."""
    with np.load(path) as kept:
        arrays = dict(kept)
    parts = []
    for window, cells in enumerate(arrays["cells"].tolist()):
        number = sum(key.startswith(f"{window}/") for key in arrays) // 2
        names = [f"{window}/{i}" for i in range(number)]
        grams = [Grams(arrays[f"{name}/matrices"], arrays[f"{name}/mass"]) for name in names]
        parts.append(Part(grams, cells))
    return parts


def once(target: Path, write: Callable[[Path], None]) -> None:
    """Write a file or folder that appears whole, unless it is there from the run that was interrupted."""
    if not target.exists():
        with atomic_path(target) as temporary:
            write(temporary)


def keep_matching(config: S2sConfig, run: RunFolder) -> None:
    """Drop what an interrupted run left if it was made from another config, version or content of the inputs.

    Parameters
    ----------
    config : S2sConfig
    run : RunFolder
        Its inputs are recorded with their digests.
    """
    inputs = sorted((entry["path"], entry["sha256"]) for entry in run.record["inputs"])
    told = json.dumps([run.record["version"], dump_toml(config), inputs])
    digest = hashlib.sha256(told.encode()).hexdigest()
    path = run.checkpoints / "made_from"
    if run.resume and path.is_file() and path.read_text() == digest:
        done = len(list(run.checkpoints.glob("parts/*/*.npz")))
        log.info("%d chunks were fitted before the interruption", done)
        return
    if run.resume:
        log.warning("the config or the content of an input has changed: nothing is taken over")
        for name in ("model", "verification", "checkpoints"):
            clear(run.partial / name)
    with atomic_path(run.checkpoints / "made_from") as temporary:
        temporary.write_text(digest)
