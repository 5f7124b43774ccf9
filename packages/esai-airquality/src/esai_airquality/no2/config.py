"""The config of the job no2: surface NO2 from satellite columns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from esai_core.config import Config, DataPath, Section

__all__ = ["METHODS", "TEMPLATE", "DataSection", "No2Config", "No2Section", "ValidationSection"]

Method = Literal["climatology", "linear", "rf", "xgboost"]
METHODS: tuple[Method, ...] = ("climatology", "linear", "rf", "xgboost")


class DataSection(Section):
    """The table ``[data]``: observations of stations, and predictors in the same table or on a grid."""

    observations: DataPath
    """Table (CSV, Parquet): one row per station and day, or per station."""
    target: str
    """Column of the observed surface NO2."""
    units: str = "µg/m3"
    """Units of the target, and of all results."""
    station: str | None = None
    """Column of the station names; rows of one place are one station by default."""
    latitude: str = "latitude"
    """Column of the latitude, degrees north."""
    longitude: str = "longitude"
    """Column of the longitude, degrees east."""
    time: str | None = None
    """Column of the day; none for a table of means, one row per station. 1/2/19 and 13-01-19 are
    day-first."""
    predictors: tuple[str, ...] | None = None
    """Columns that serve as predictors beside the satellite's; by default all columns of numbers."""
    satellite: tuple[str, ...] = ()
    """Predictors that come from a satellite: the ablation leaves them out, with all made of them."""
    exclude: tuple[str, ...] = ()
    """Columns that are no predictors."""
    leaks: Literal["refuse", "drop"] = "refuse"
    """What to do with columns that give the target away: stop, or go on without them and say so."""
    trusted: tuple[str, ...] = ()
    """Columns that look like leaks and are none; the report names them."""
    fields: DataPath | None = None
    """NetCDF of gridded predictors, (time, latitude, longitude) or (latitude, longitude): read at the
    stations,
    and mapped."""
    swaths: DataPath | None = None
    """Folder or glob pattern of Sentinel-5P L2 NO2 files; they are gridded to the grid of `fields`."""
    qa: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Pixels need a qa_value above this."""


class No2Section(Section):
    """The table ``[no2]``: predictors made of others, methods and their settings."""

    methods: tuple[Method, ...] = METHODS
    """Methods to compare."""
    delivered: Method = "xgboost"
    """The method of the maps; named beforehand, as choosing it on the scores would be tuning on them."""
    windows: tuple[Annotated[int, Field(ge=2)], ...] = (7, 31)
    """Days over which satellite columns are averaged around each day."""
    windowed: tuple[str, ...] = ()
    """Satellite predictors that are averaged so, and over the whole period."""
    calendar: bool = True
    """Whether the day of the year, of the week and since the start are predictors."""
    position: bool = True
    """Whether latitude and longitude are predictors."""
    rounds: Annotated[int, Field(ge=10)] = 300
    """Trees of the boosting."""
    depth: Annotated[int, Field(ge=1, le=14)] = 6
    """Depth of its trees."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Step of the boosting."""
    min_weight: Annotated[float, Field(ge=1)] = 20
    """Fewest rows in a leaf of the boosting."""
    trees: Annotated[int, Field(ge=10)] = 60
    """Trees of the forest."""
    coverage: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    """Part of the observations that intervals are to hold."""
    threads: Annotated[int, Field(ge=1)] = 2
    """Threads of the trees; results are the same only for the same number."""

    @model_validator(mode="after")
    def _methods_fit(self) -> No2Section:
        if not self.methods or len(set(self.methods)) != len(self.methods):
            raise ValueError("methods must be named once each, one at least")
        if self.delivered not in self.methods:
            raise ValueError(f"delivered is {self.delivered!r}, which is not among the methods")
        return self


class ValidationSection(Section):
    """The table ``[validation]``: cross-validations that are done side by side."""

    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Parts of each cross-validation."""
    blocks: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.5,)
    """Sizes of the spatial blocks, degrees; the first one judges, calibrates and bounds the maps."""
    last_year: bool = True
    """Whether the last year is held out as well, where there are two or more."""
    ablation: bool = True
    """Whether all is done again without the satellite."""


class No2Config(Config):
    """A run of ``esai-airquality no2``."""

    data: DataSection
    no2: No2Section = No2Section()
    validation: ValidationSection = ValidationSection()
    seed: int = 0
    """Seed of the trees and of the cross-validations."""

    @model_validator(mode="after")
    def _parts_fit(self) -> No2Config:
        if self.data.swaths is not None and self.data.fields is None:
            raise ValueError("data.swaths needs data.fields, whose grid the pixels are brought to")
        known = {*self.data.satellite, *(("no2_column",) if self.data.swaths is not None else ())}
        unknown = [name for name in self.no2.windowed if name not in known]
        if unknown:
            raise ValueError(f"no2.windowed names {unknown[0]!r}, which is not among data.satellite")
        if self.no2.windowed and self.data.time is None:
            raise ValueError("no2.windowed needs data.time")
        return self


TEMPLATE = """\
# esai-airquality no2: surface NO2 from satellite columns.
# Paths are relative to this file, else to the folder that the environment variable ESAI_DATA names.

schema_version = 1
seed = 0

[data]
observations = "observations.parquet"  # one row per station and day
target = "no2"
units = "µg/m3"
station = "station"
time = "time"                          # leave out for a table of annual means
latitude = "latitude"
longitude = "longitude"
# satellite = ["tropomi_no2"]          # columns of the table that come from a satellite
# predictors = ["wind", "population"]  # others; by default all columns of numbers
# exclude = ["id"]
# leaks = "refuse"                     # or "drop": go on without columns that give the target away
# fields = "fields.nc"                 # gridded predictors: read at the stations, and mapped
# swaths = "s5p"                       # folder of Sentinel-5P L2 NO2 files, gridded to the grid of fields

[no2]
# methods = ["climatology", "linear", "rf", "xgboost"]
delivered = "xgboost"
# windowed = ["tropomi_no2"]           # satellite columns averaged over 7 and 31 days and the whole period
coverage = 0.9

[validation]
folds = 5
blocks = [0.5]                         # degrees
"""
