"""The config of the job reanalysis."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from esai_core.config import Config, DataPath, Section

__all__ = ["METHODS", "TEMPLATE", "NetworkSection", "ReanalysisConfig"]

Method = Literal[
    "raw", "mean", "idw", "kriging", "ridge", "ridge_idw", "ridge_kriging", "forest", "forest_kriging"
]
METHODS: tuple[Method, ...] = (
    "raw",
    "mean",
    "idw",
    "kriging",
    "ridge",
    "ridge_idw",
    "ridge_kriging",
    "forest",
    "forest_kriging",
)
Species = Literal["o3", "no2", "co", "so2"]
Units = Literal["ppb", "ug/m3"]


class GridSection(Section):
    """The table ``[grid]``: the reanalysis on model levels, as EAC4 is delivered."""

    model_levels: DataPath
    """NetCDF with the mass mixing ratio of the species (kg/kg), ``t`` (K) and ``q`` (kg/kg)."""
    surface: DataPath
    """NetCDF with surface pressure ``sp`` (Pa); may be the same file."""
    species: Species = "o3"
    """What is corrected."""
    variable: str | None = None
    """Name of the mixing ratio; by default that of EAC4 (``go3``, ``no2``, ``co``, ``so2``)."""
    level: Annotated[int, Field(ge=1)] = 60
    """Number of the level at the surface, where the file has several."""
    predictors: DataPath | None = None
    """NetCDF (latitude, longitude) with the predictors of the network, on the grid of the reanalysis."""


class NetworkSection(Section):
    """One table ``[[networks]]``: stations, and what is modelled at them."""

    name: str
    """Names its files and scores."""
    observations: DataPath
    """Hourly observations: a table of time, station, value, or with one column for each station."""
    stations: DataPath
    """Table of the stations: coordinates and predictors."""
    species: Species = "o3"
    """What is observed."""
    units: Units = "ug/m3"
    """Units of the observations, and of the results of this network."""
    layout: Literal["long", "wide"] = "long"
    """``wide``: one column for each station."""
    observed_column: str | None = None
    """Column of the observations, where there are several."""
    modelled: Literal["grid", "column", "none"] = "grid"
    """What is corrected: the reanalysis of ``[grid]``, a column beside the observations, or nothing."""
    modelled_column: str | None = None
    """Column of the model, for ``modelled = "column"``."""
    select: Annotated[dict[str, str], Field(default_factory=dict)]
    """Column and value: only these rows of the observations are used."""
    keep: Annotated[dict[str, tuple[str, ...]], Field(default_factory=dict)]
    """Column of the stations and values: only these stations are used, as those that a cell can stand for."""
    area: tuple[float, float, float, float] | None = None
    """North, west, south, east: only stations inside are used."""
    statistic: Literal["mean", "mda8"] = "mean"
    """What is corrected of each period: the mean of all hours, or of the daily maxima of 8-hour means."""
    period: Literal["month", "all"] = "month"
    """Length of a period."""
    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = tuple(range(1, 13))
    """Months that are used."""
    min_coverage: Annotated[float, Field(gt=0, le=1)] = 0.75
    """Part of the hours (of the modelled ones, of the days for mda8) that a period needs at a station."""
    predictors: tuple[str, ...] = ()
    """Columns of the stations that serve the learning; ``log:NAME`` takes the logarithm."""


class ModelSection(Section):
    """The table ``[model]``: how residuals are learnt and judged."""

    methods: tuple[Method, ...] = METHODS
    """Methods to score."""
    idw_power: Annotated[float, Field(gt=0)] = 2.0
    """Power of the distance in the inverse-distance weighting."""
    trees: Annotated[int, Field(ge=10)] = 100
    """Trees of the forest."""
    block_km: Annotated[float, Field(gt=0)] = 500.0
    """Size of the blocks that the second cross-validation leaves out."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Part of the observations that the intervals shall hold."""

    @model_validator(mode="after")
    def _methods_fit(self) -> ModelSection:
        if len(set(self.methods)) != len(self.methods) or not set(self.methods) - {"raw", "mean"}:
            raise ValueError("methods must be named once each, one beside raw and mean at least")
        return self


class ReanalysisConfig(Config):
    """A run of ``esai-airquality reanalysis``."""

    grid: GridSection | None = None
    networks: tuple[NetworkSection, ...] = ()
    model: ModelSection = ModelSection()
    seed: int = 0
    """Seed of the forest and of the blocks."""

    @model_validator(mode="after")
    def _parts_fit(self) -> ReanalysisConfig:
        names = [network.name for network in self.networks]
        if len(set(names)) != len(names) or (self.grid is None and not names):
            raise ValueError("give [grid] or [[networks]], each network with a name of its own")
        paired = [network for network in self.networks if network.modelled == "grid"]
        if len(paired) > 1 or (paired and self.grid is None):
            raise ValueError('one network at most can have modelled = "grid", and it needs [grid]')
        for network in paired:
            if self.grid is not None and network.species != self.grid.species:
                raise ValueError(
                    f"network {network.name!r} observes {network.species}, not {self.grid.species}"
                )
            if network.statistic == "mda8":
                raise ValueError('a reanalysis of 3-hourly values has no mda8; use statistic = "mean"')
        for network in self.networks:
            if network.modelled == "column" and network.modelled_column is None:
                raise ValueError(f'network {network.name!r}: modelled = "column" needs modelled_column')
        return self


TEMPLATE = """\
# esai-airquality reanalysis: bring a reanalysis to surface concentrations and correct it with stations.
# Paths are relative to this file, else to the folder that the environment variable ESAI_DATA names.

schema_version = 1
seed = 0

[grid]                                  # as the Atmosphere Data Store delivers EAC4
model_levels = "eac4_ml.nc"             # go3, t, q of level 60
surface = "eac4_sfc.nc"                 # sp
species = "o3"
# predictors = "predictors.nc"          # (latitude, longitude), on the same grid

[[networks]]
name = "spain"
observations = "observations.parquet"   # time, station, a column of values; hourly, UTC
stations = "stations.csv"               # station, latitude, longitude, predictors
species = "o3"
units = "ug/m3"
# keep = { area_classification = ["rural"] }   # stations that a cell of the grid can stand for
# predictors = ["altitude"]

[model]
# methods = ["raw", "mean", "idw", "kriging", "ridge_kriging", "forest_kriging"]
# block_km = 500.0
"""
