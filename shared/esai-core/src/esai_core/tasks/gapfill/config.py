"""What a user of ``esai-core gapfill`` can set."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from esai_core.config import Config, DataPath, Section
from esai_core.tasks.fields import CycleName
from esai_core.training.config import TrainConfig

__all__ = ["TEMPLATE", "GapfillConfig"]

TEMPLATE = """\
schema_version = 1
cycle = "month"          # climatology by "month", by "hour" of the day, or "none" (one mean)
coverage = 0.9           # of the intervals

[data]
field = "field.nc"       # NetCDF, Zarr or GRIB with one variable on (time, latitude, longitude), gaps as NaN

[hide]                   # what is kept back from what was observed, to choose and to score
share = 0.3              # share of the observed cells of each time, in blobs
choose = 0.25            # share of the times whose blobs choose and calibrate; those of the others test
length = 6.0             # size of a blob, in grid steps
duration = 1.0           # how long a blob stays, in time steps
seed = 0

[eof]
modes = [1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 35]

[network]
width = 16
depth = 2
window = 1               # times before and after that are seen
draws = 3                # different gaps that it learns to fill

[train]
epochs = 30
batch_size = 8
learning_rate = 2e-3
schedule = "cosine"
patience = 8
"""

Share = Annotated[float, Field(gt=0, lt=0.9)]
Positive = Annotated[int, Field(ge=1)]


class Data(Section):
    """Input files."""

    field: DataPath
    """Gridded series with gaps (NaN); cells that are never observed stay empty."""
    variable: str | None = None
    """Variable, where the file holds several."""


class Hide(Section):
    """What is kept back, in blobs."""

    share: Share = 0.3
    """Share of the observed cells of each time that is hidden."""
    choose: Share = 0.25
    """Share of the times whose blobs choose and calibrate; those of the others test."""
    length: Annotated[float, Field(gt=0)] = 6.0
    """Size of a blob in grid steps."""
    duration: Annotated[float, Field(gt=0)] = 1.0
    """How long a blob stays, in time steps."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Start of the drawing."""


class Eof(Section):
    """Filling by empirical orthogonal functions."""

    modes: tuple[Positive, ...] = (1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 35)
    """Numbers of modes to choose from."""
    tolerance: Annotated[float, Field(gt=0)] = 1e-3
    """Change of the filled values, in standard deviations, at which it stops."""
    iterations: Positive = 100
    """Most rounds for each number of modes."""


class Network(Section):
    """The U-Net of partial convolutions."""

    width: Positive = 16
    """Features of the first level."""
    depth: Positive = 2
    """Levels."""
    window: Annotated[int, Field(ge=0)] = 1
    """Times before and after that it sees."""
    draws: Positive = 3
    """Different sets of made gaps that it learns on."""


class GapfillConfig(Config):
    """A whole config."""

    data: Data
    cycle: CycleName = "month"
    """Climatology by calendar month, hour of the day, or one mean."""
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of the truths that the intervals should hold."""
    hide: Hide = Hide()
    eof: Eof = Eof()
    network: Network = Network()
    train: TrainConfig = TrainConfig(
        epochs=30, batch_size=8, learning_rate=2e-3, schedule="cosine", patience=8
    )
