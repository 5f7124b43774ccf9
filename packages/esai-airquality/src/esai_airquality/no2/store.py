"""What a run learns, in one file: the delivered model, its intervals, where it applies, what it takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esai_airquality.archive import read_archive, write_archive
from esai_airquality.no2.applicability import Applicability
from esai_airquality.no2.intervals import Intervals
from esai_airquality.no2.models import Model
from esai_airquality.no2.predictors import Design

__all__ = ["Learnt", "load", "save"]


@dataclass(frozen=True)
class Learnt:
    """A fitted job.

    Attributes
    ----------
    model : Model
        The delivered method, fitted on all observations.
    intervals : Intervals
        Calibrated on the blocks that were held out.
    applicability : Applicability
        Where it may be used.
    design : Design
        Its predictors.
    notes : dict
        What evaluation and report tell of the data: leaks, stations, days, judge.
    """

    model: Model
    intervals: Intervals
    applicability: Applicability
    design: Design
    notes: dict[str, Any]


def save(learnt: Learnt, path: Path) -> None:
    """Write it as ``.npz`` without pickles."""
    plain = {
        "design": asdict(learnt.design),
        "notes": learnt.notes,
        "method": learnt.model.method,
        "threads": learnt.model.threads,
        "typical": learnt.applicability.typical,
        "threshold": learnt.applicability.threshold,
    }
    arrays: dict[str, Any] = {f"model_{name}": value for name, value in learnt.model.state.items()}
    arrays |= {f"intervals_{name}": value for name, value in asdict(learnt.intervals).items()}
    for name in ("mean", "scale", "weights", "points"):
        arrays[f"applicability_{name}"] = getattr(learnt.applicability, name)
    write_archive(path, arrays, plain)


def load(path: Path) -> Learnt:
    """Read what `save` wrote.

    Raises
    ------
    InputError
        If the file is damaged.
    """
    found, plain = read_archive(path, wrong="the model is damaged", remedy="train again")

    def part(prefix: str) -> dict[str, np.ndarray]:
        return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}

    design: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in plain["design"].items()
    }
    return Learnt(
        Model(plain["method"], part("model_"), plain["threads"]),
        Intervals(**part("intervals_")),
        Applicability(**part("applicability_"), typical=plain["typical"], threshold=plain["threshold"]),
        Design(**design),
        plain["notes"],
    )
