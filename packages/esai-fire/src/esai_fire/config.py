"""What a user can set."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from esai_core.config import Config, DataPath, Section

__all__ = ["TEMPLATE", "FireConfig"]

TEMPLATE = """\
# esai-fire: burned area from ocean climate indices.
# Paths are relative to this file, else to the folder that the environment variable ESAI_DATA names.

schema_version = 1
task = "burned_area"          # or "emissions": species from dry matter and emission factors

[data]
burned_area = "burned_area.nc"  # FireCCI 5.1, GFED4.1s, plain NetCDF, or a CSV of years by region
indices = "indices.csv"         # CSV of monthly series, a PSL text file or a folder of them; or instead of it
# sst = "sst.nc"                # sea-surface temperature, from which the indices are made
# regions = "regions.nc"        # whole numbers on a map: totals, and cells that learn together
# land_cover = "land_cover.nc"  # classes, or biomass and cover over time as further predictors
# gfas = "gfas/"                # daily GFAS fields: emissions per species beside the burned area

[target]
lead_months = 4               # no index of the last 3 months before the peak, nor later, is used
min_fire_share = 0.5          # cells that burned in fewer of their years are left out
# resolution = 0.25           # degrees; area is conserved
# season = "monthly"          # one row per month instead of twelve months around the peak

[predictors]
indices = ["nino34", "nino4", "pdo", "tna", "tsa", "amo"]
lags = [0, 12]                # months before the peak; those after the issue date are dropped
smooth = 3                    # means over this many months, ending at the lag

[split]
# holdout = [2008, 2012]      # years kept back; without it every year is left out in turn

[model]
# forecasters = ["trend", "single", "pair", "lasso"]
# fdr = 0.5                   # false-discovery rate of the screen, which runs inside each fold
"""

Years = tuple[int, int]


class Data(Section):
    """The table ``[data]``: input files."""

    burned_area: DataPath | None = None
    """Monthly burned area on a grid, or a CSV with a column ``year`` and one column per region."""
    kind: Literal["auto", "firecci", "gfed", "netcdf"] = "auto"
    """Layout of the burned area."""
    variable: str = "burned_area"
    """Its name in a plain NetCDF file."""
    indices: DataPath | None = None
    """Published index series."""
    sst: DataPath | None = None
    """Monthly sea-surface temperature that the indices are made from."""
    missing_values: tuple[float, ...] = ()
    """Values of the index table that stand for missing ones."""
    regions: DataPath | None = None
    """Whole numbers on a map, 0 for no region; or a GFED4.1s file, for its fourteen regions."""
    land_cover: DataPath | None = None
    """Land cover or biomass: maps say which cells learn together, fields with a time axis are predictors."""
    gfas: DataPath | None = None
    """Daily GFAS fields (file or folder): emissions per species are regressed on burned area."""
    min_observed: Annotated[float, Field(ge=0, le=1)] = 0.0
    """FireCCI: months in which less of a cell was observed count as missing."""
    dry_matter: DataPath | None = None
    """Emissions: CSV with the columns region, year, source and DM_Tg; for grids, GFED4.1s files."""
    emission_factors: DataPath | None = None
    """Emissions: CSV with the species and one column per source, g per kg dry matter."""
    published: dict[str, DataPath] = Field(default_factory=dict)
    """Emissions: species to a CSV (year, a column per region, Global; Tg) to check against."""


class Target(Section):
    """The table ``[target]``: what is forecast."""

    season: Literal["peak", "monthly"] = "peak"
    """Twelve months around the peak month of each cell, or every month."""
    lead_months: Annotated[int, Field(ge=0, le=24)] = 4
    """Months from the last index value that is used to the peak month (or to the month itself)."""
    min_fire_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Least share of years with fire (the 50 % rule)."""
    resolution: Annotated[float, Field(gt=0, le=30)] | None = None
    """Degrees of the cells that burned area is brought to, conserving area; as in the file by default."""
    peak_months: dict[str, Annotated[int, Field(ge=1, le=12)]] = Field(default_factory=dict)
    """Peak month of each column of a table of years; July by default."""


class Predicting(Section):
    """The table ``[predictors]``: indices and lags."""

    indices: Annotated[tuple[str, ...], Field(min_length=1)] = ("nino34", "nino4", "pdo", "tna", "tsa", "amo")
    """Ocean climate indices, in any published spelling."""
    lags: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(le=60)]] = (0, 12)
    """First and last month before the peak."""
    smooth: Annotated[int, Field(ge=1, le=12)] = 3
    """Mean over this many months, ending at the lag."""


class Split(Section):
    """The table ``[split]``: what is scored."""

    holdout: Years | None = None
    """First and last year kept back: all fits use the years before, and these are scored."""
    inner_folds: Annotated[int, Field(ge=2)] | None = None
    """Blocks of years inside each training set; every year on its own by default (monthly: 5)."""

    @model_validator(mode="after")
    def _in_order(self) -> Split:
        if self.holdout is not None and self.holdout[0] > self.holdout[1]:
            raise ValueError("holdout names its first and last year, in this order")
        return self


class Model(Section):
    """The table ``[model]``: forecasters and their fits."""

    forecasters: tuple[Literal["climatology", "trend", "single", "pair", "lasso"], ...] = (
        "climatology", "trend", "single", "pair", "lasso",
    )  # fmt: skip
    """What is compared and stacked."""
    pool: bool = True
    """Let the stack also use slopes shared by the cells of a region (without regions: of the domain)."""
    confidence: Annotated[float, Field(gt=0)] = 2.0
    """How readily the stack leaves the climatology."""
    fdr: Annotated[float, Field(gt=0, le=1)] = 0.5
    """False-discovery rate of the lagged-correlation screen inside each fold; 1 lets every column in."""
    detrend: bool = False
    """Screen against what the indices show beside a trend."""
    lambdas: Annotated[int, Field(ge=2, le=200)] = 20
    """Penalties on the path."""
    lambda_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Smallest penalty over the largest."""
    alpha: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the l1 penalty: 1 is the lasso."""
    engine: Literal["numba", "glum", "pyglmnet"] = "numba"
    """Solver of the lasso; the others are independent checks for a few series, and slow."""
    stability: Annotated[int, Field(ge=0, le=1000)] = 50
    """Half samples of the years for stability selection; 0 for none."""


class Intervals(Section):
    """The table ``[intervals]``."""

    level: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Nominal coverage."""
    kind: Literal["jackknife", "quasi_poisson", "negative_binomial"] = "jackknife"
    """From the ratios of left-out years, or with a variance of phi mu, or of mu squared / k."""


class Emissions(Section):
    """The table ``[emissions]``."""

    species: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "CO2",
        "CO",
        "CH4",
        "NOx",
        "PM2.5",
        "OC",
        "BC",
    )
    """Species of the table of emission factors."""
    factor_sd: Annotated[float, Field(ge=0, lt=2)] = 0.25
    """Relative standard deviation of an emission factor: shared by all regions and years of a source."""
    dry_matter_sd: Annotated[float, Field(ge=0, lt=2)] = 0.3
    """Relative standard deviation of the dry matter of a region, year and source."""


class FireConfig(Config):
    """A whole config."""

    task: Literal["burned_area", "emissions"] = "burned_area"
    """Forecast burned area, or work emissions out from dry matter."""
    seed: int = 0
    """Seed of the half samples."""
    data: Data
    target: Target = Target()
    predictors: Predicting = Predicting()
    split: Split = Split()
    model: Model = Model()
    intervals: Intervals = Intervals()
    emissions: Emissions = Emissions()

    @model_validator(mode="after")
    def _has_inputs(self) -> FireConfig:
        data = self.data
        if self.task == "emissions":
            if data.dry_matter is None or data.emission_factors is None:
                raise ValueError('task = "emissions" needs data.dry_matter and data.emission_factors')
            return self
        if data.burned_area is None:
            raise ValueError('task = "burned_area" needs data.burned_area')
        if (data.dry_matter is None) != (data.emission_factors is None):
            raise ValueError("data.dry_matter and data.emission_factors go together")
        if data.gfas is not None and data.dry_matter is not None:
            raise ValueError("give either data.gfas or data.dry_matter with data.emission_factors")
        if (data.indices is None) == (data.sst is None):
            raise ValueError("give either data.indices or data.sst")
        return self
