"""What a user of ``esai-core nextframe`` can set."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from esai_core.config import Config, DataPath, Section
from esai_core.tasks.fields import CycleName
from esai_core.training.config import TrainConfig

__all__ = ["TEMPLATE", "NextframeConfig"]

TEMPLATE = """\
schema_version = 1
cycle = "hour"           # climatology by "month", by "hour" of the day, or "none" (one mean)
leads = [1, 3, 6, 12]    # steps ahead that are forecast
coverage = 0.9           # of the intervals

[data]
field = "field.nc"       # NetCDF, Zarr or GRIB with one variable on (time, latitude, longitude), even steps

[split]                  # in the order of time, with a gap of the longest lead between the parts
train = 0.6
choose = 0.2             # chooses weights and the method, calibrates the intervals; the rest is the test

[network]
kinds = ["convlstm", "unet"]
window = 4               # past fields that are seen, the latest included
width = 16
depth = 2

[train]
epochs = 30
batch_size = 16
learning_rate = 2e-3
schedule = "cosine"
patience = 8
"""

Positive = Annotated[int, Field(ge=1)]


class Data(Section):
    """Input files."""

    field: DataPath
    """Gridded series; cells with a missing value are left out (land)."""
    variable: str | None = None
    """Variable, where the file holds several."""


class Split(Section):
    """Shares of the times, in their order."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """First share: fitted."""
    choose: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share after it: chooses and calibrates."""

    @model_validator(mode="after")
    def _leave_a_test(self) -> Self:
        if self.train + self.choose >= 0.95:
            raise ValueError("train and choose leave less than 5 % of the times to test on")
        return self


class Network(Section):
    """The networks."""

    kinds: Annotated[tuple[Literal["convlstm", "unet"], ...], Field(min_length=1)] = ("convlstm", "unet")
    """Which to train."""
    window: Positive = 4
    """Past fields that are seen."""
    width: Positive = 16
    """Features (of the first level)."""
    depth: Positive = 2
    """Levels of the U-Net; blocks after the ConvLSTM."""


class NextframeConfig(Config):
    """A whole config."""

    data: Data
    cycle: CycleName = "hour"
    """Climatology by calendar month, hour of the day, or one mean."""
    leads: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 3, 6, 12)
    """Steps ahead that are forecast."""
    coverage: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of the truths that the intervals should hold."""
    split: Split = Split()
    network: Network = Network()
    train: TrainConfig = TrainConfig(
        epochs=30, batch_size=16, learning_rate=2e-3, schedule="cosine", patience=8
    )
