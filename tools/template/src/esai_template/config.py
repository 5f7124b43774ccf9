"""What a user can set."""

from __future__ import annotations

from esai_core.config import Config, DataPath, Section

TEMPLATE = """\
schema_version = 1

[data]
field = "reference.nc"  # NetCDF, Zarr or GRIB with one value a month on (time, latitude, longitude)
variable = "t2m"

[split]
train = [1981, 1995]    # first and last year, both included
test = [1996, 2000]     # scored once, never fitted
"""


class Data(Section):
    """Input files."""

    field: DataPath
    """Monthly field with dimensions (time, latitude, longitude)."""
    variable: str = "t2m"
    """Variable to forecast."""


class Split(Section):
    """Years, first and last included."""

    train: tuple[int, int]
    """Years that are fitted."""
    test: tuple[int, int]
    """Years that are forecast and scored."""


class TemplateConfig(Config):
    """A whole config."""

    data: Data
    split: Split
