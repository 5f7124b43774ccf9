"""The config of the job mos: forecasts corrected at stations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from esai_core.config import Config, DataPath, Section

__all__ = ["METHODS", "TEMPLATE", "MosConfig"]

Method = Literal["raw", "pers", "ma", "kf", "qm", "an", "gbm", "gbm_weighted", "blend", "gbm_alert"]
METHODS: tuple[Method, ...] = (
    "raw",
    "pers",
    "ma",
    "kf",
    "qm",
    "an",
    "gbm",
    "gbm_weighted",
    "blend",
    "gbm_alert",
)
Units = Literal["ppb", "ug/m3", "kg/m3"]


class DataSection(Section):
    """The table ``[data]``: tables (CSV, Parquet) or NetCDF of stations or of a grid."""

    forecast: DataPath
    """Hourly: a table of stations, NetCDF (station, time) or (time, latitude, longitude), or a folder
    of NetCDF, one file for each run."""
    observations: DataPath
    """Hourly observations of stations; may be the same file."""
    stations: DataPath | None = None
    """Table of the stations: coordinates and further numbers that describe them."""
    species: Literal["o3", "no2", "co", "so2", "pm10", "pm25"] = "o3"
    """What is forecast; decides the factor between ppb and ug/m3."""
    forecast_column: str | None = None
    """Column or variable of the forecast, where the file has several."""
    observed_column: str | None = None
    """Column or variable of the observations, where the file has several."""
    meteorology: tuple[str, ...] = ()
    """Columns or variables of the forecast file that serve as predictors."""
    station_column: str | None = None
    """Column of the station names; found by its usual names by default; without one there is one station."""
    lead_column: str | None = None
    """Column of the lead day, where forecasts of several leads are there."""
    first_lead: Annotated[int, Field(ge=0, le=1)] = 1
    """Number that the file gives to the day after the last observed one (CAMS counts from 0)."""
    select: Annotated[dict[str, str], Field(default_factory=dict)]
    """Column and value: only these rows are used, as species = "no2"."""
    units: Units = "ppb"
    """Units of the forecast, and of all results."""
    observed_units: Units | None = None
    """Units of the observations; those of the forecast by default."""
    min_coverage: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Part of all hours that a station must have observed to be scored."""
    duplicates: Literal["refuse", "first"] = "refuse"
    """What to do where a station has two rows of one hour."""


class MosSection(Section):
    """The table ``[mos]``: what is fitted and how."""

    methods: tuple[Method, ...] = METHODS
    """Methods to run and score."""
    leads: tuple[Annotated[int, Field(ge=1, le=10)], ...] = (1,)
    """Days from the last observation to the day that is forecast."""
    spin_up: Annotated[int, Field(ge=1)] = 30
    """Days at the start that are not scored."""
    refresh: Annotated[int, Field(ge=1)] = 30
    """Days after which quantile maps and trees are fitted again on all the past."""
    event: Annotated[float, Field(gt=0)]
    """Concentration above which there is an event (in data.units)."""
    pers_days: Annotated[int, Field(ge=1)] = 1
    """Days of the persistence."""
    ma_days: Annotated[int, Field(ge=1)] = 7
    """Days of the moving average."""
    kf_ratio: Annotated[float, Field(gt=0)] = 0.06
    """Ratio r of the Kalman filter."""
    an_count: Annotated[int, Field(ge=1)] = 10
    """Number of analogs."""
    rounds: Annotated[int, Field(ge=10)] = 150
    """Trees of the boosting."""
    depth: Annotated[int, Field(ge=1, le=12)] = 6
    """Depth of a tree."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.08
    """Step of the boosting."""
    interval: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Part of the observations that the interval of each forecast shall hold; 0 for no intervals."""
    interval_days: Annotated[int, Field(ge=10)] = 60
    """Days that the width of the intervals is learnt from."""
    scope: Literal["global", "local"] = "global"
    """One ensemble of trees for all stations, or one for each."""
    threads: Annotated[int, Field(ge=1)] = 2
    """Threads of the boosting; results are the same only for the same number."""
    first_cutoff: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Alert probability that raises an alert until there are past predictions to choose it on."""

    @model_validator(mode="after")
    def _methods_fit(self) -> MosSection:
        if not self.methods or len(set(self.methods)) != len(self.methods):
            raise ValueError("methods must be named once each, one at least")
        if self.methods == ("blend",) or self.methods == ("gbm_alert",):
            raise ValueError(f"{self.methods[0]} needs another method beside it")
        if len(set(self.leads)) != len(self.leads) or not self.leads:
            raise ValueError("leads must be named once each, one at least")
        return self


class MosConfig(Config):
    """A run of ``esai-airquality mos``."""

    data: DataSection
    mos: MosSection
    seed: int = 0
    """Seed of the boosting and of the bootstrap."""


TEMPLATE = """\
# esai-airquality mos: correct forecasts of air pollutants at stations, as an operational run would have.
# Paths are relative to this file, else to the folder that the environment variable ESAI_DATA names.

schema_version = 1
seed = 0

[data]
forecast = "forecast.parquet"          # hourly: time, station, a column of values; or NetCDF
observations = "observations.parquet"  # likewise; may be the same file
# stations = "stations.csv"            # station, latitude, longitude, ...
species = "o3"
units = "ug/m3"                        # of the forecast and of all results
# observed_units = "ug/m3"
# forecast_column = "forecast"
# observed_column = "observed"
# lead_column = "lead_day"             # where several leads are there; CAMS counts from 0:
# first_lead = 0
# meteorology = ["t2m", "ws10"]

[mos]
# methods = ["raw", "pers", "ma", "kf", "qm", "an", "gbm", "gbm_weighted", "blend", "gbm_alert"]
leads = [1]
event = 120.0
# refresh = 30       # days after which models are fitted again on all the past
# kf_ratio = 0.06
# interval = 0.9     # prediction intervals; 0 for none
"""
