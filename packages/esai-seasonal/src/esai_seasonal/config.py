"""The config of a run: what a TOML file may say."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from esai_core.config import Config, DataPath, Section
from esai_core.training.config import TrainConfig

__all__ = ["BASELINES", "TEMPLATE", "AdversarialConfig", "SeasonalConfig"]


SUPERRESOLUTION_TRAINING = {"epochs": 20, "batch_size": 16, "learning_rate": 2e-3, "weight_decay": 1e-3}
"""Defaults of ``[train]`` where fine fields are learnt from coarse ones."""

Method = Literal[
    "raw",
    "climatology",
    "trend_climatology",
    "mean_bias",
    "mean_variance",
    "eqm",
    "qdm",
    "trend_bias",
    "mlr",
    "emos",
]
BASELINES: tuple[Method, ...] = (
    "raw",
    "climatology",
    "trend_climatology",
    "mean_bias",
    "mean_variance",
    "eqm",
    "qdm",
    "trend_bias",
    "mlr",
    "emos",
)
Range = tuple[int, int] | tuple[date, date]


class DataConfig(Section):
    """The table ``[data]``: files, in any layout that the core opens."""

    hindcast: DataPath | None = None
    """Ensemble hindcast (and forecast) with start, lead and member; not used for super-resolution."""
    reference: DataPath
    """Reanalysis or gridded observations that forecasts are corrected to."""
    forecast: DataPath | None = None
    """New starts for the verb predict; all of them are corrected, instead of the test starts."""
    static_coarse: DataPath | None = None
    """Fields of the hindcast's grid: orography (orog), land-sea mask (lsm)."""
    static_fine: DataPath | None = None
    """The same on the grid of the reference."""
    variable: str = "t2m"
    """Variable, in any spelling (t2m, 2t, tas, tp, ...)."""
    kind: Literal["auto", "additive", "multiplicative"] = "auto"
    """Corrections as differences, or as ratios for what cannot be negative; auto: by the variable."""
    missing: Literal["refuse", "mask"] = "refuse"
    """What to do where a cell never has a value: stop, or leave it missing (sea in a land data set)."""
    factor: Annotated[int, Field(ge=2, le=16)] = 4
    """Super-resolution: fine steps per coarse step."""


class SplitConfig(Section):
    """The table ``[split]``: first and last year of the forecast starts, or first and last day."""

    model_config = ConfigDict(serialize_by_alias=True)

    train: Range
    """Starts that methods are fitted on."""
    validate_: Annotated[Range, Field(alias="validate")]
    """Starts that the method is chosen on."""
    test: Range
    """Starts that everything is scored on, once."""


class ModelConfig(Section):
    """The table ``[model]``: what is fitted, and how the network looks."""

    methods: tuple[Method, ...] = BASELINES
    """Classical methods to fit and to score."""
    network: bool = True
    """Whether to train the network beside them."""
    design: Literal["direct", "chain"] = "direct"
    """Correct on the fine grid at once, or on the coarse grid with super-resolution after it."""
    networks: Annotated[int, Field(ge=1, le=50)] = 3
    """Networks that differ by their seed alone; their outputs are averaged."""
    width: Annotated[int, Field(ge=1, le=512)] = 8
    """Channels of the network."""
    adversarial: bool = False
    """Train networks on against discriminators, for fields as rough as real ones (table [adversarial])."""
    select_by: Literal["crps", "crps_fair", "rmse"] = "crps"
    """Score of the validation starts by which the method to deliver is chosen (super-resolution: rmse)."""


class AdversarialConfig(Section):
    """The table ``[adversarial]``: the training after the supervised one, where ``model.adversarial``."""

    weight: Annotated[float, Field(gt=0)] = 0.3
    """Weight of the adversarial loss; that of the supervised training has 1."""
    epochs: Annotated[int, Field(ge=1)] = 10
    """Times that every example is seen."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Step size of network and discriminator."""
    width: Annotated[int, Field(ge=1, le=512)] = 8
    """Channels of the discriminator's first block."""


class TrainSection(TrainConfig):
    """The table ``[train]``: how the network is trained."""

    epochs: Annotated[int, Field(ge=1)] = 6
    """Times that every example is seen, at most."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Examples per step, over all workers together."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    """Step size of Adam at its start."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """How the learning rate goes on: unchanged, or along a half cosine to 0 at the last step."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    """Decoupled decay of the weights (AdamW); biases and scales are left alone."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the gradient over all weights and workers."""


class SeasonalConfig(Config):
    """A run of esai-seasonal."""

    task: Literal["correction", "superresolution"] = "correction"
    """Correct a hindcast to a reference, or learn fine fields from coarse ones."""
    data: DataConfig
    split: SplitConfig
    model: ModelConfig = ModelConfig()
    train: TrainSection = TrainSection()
    adversarial: AdversarialConfig = AdversarialConfig()

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("task") == "superresolution":
            given = {**given, "train": {**SUPERRESOLUTION_TRAINING, **given.get("train", {})}}
            given["model"] = {"select_by": "rmse", **given.get("model", {})}
        return given

    @model_validator(mode="after")
    def _fits_the_task(self) -> SeasonalConfig:
        if self.task == "correction" and self.data.hindcast is None:
            raise ValueError('task = "correction" needs data.hindcast')
        if self.model.adversarial and not self.model.network:
            raise ValueError("model.adversarial needs model.network = true")
        if self.model.adversarial and self.task == "correction" and self.model.design == "chain":
            raise ValueError('model.adversarial needs model.design = "direct", or task = "superresolution"')
        return self


TEMPLATE = """\
# esai-seasonal: correct a seasonal hindcast to a reference, on the reference's grid.
# Paths are relative to this file, else to the folder that the environment variable ESAI_DATA names.

schema_version = 1
task = "correction"  # or "superresolution": learn fine fields from coarsened ones, without a hindcast

[data]
hindcast = "hindcast.nc"    # ensemble with starts and leads: NetCDF of the CDS, C3S GRIB, Zarr
reference = "reference.nc"  # the truth, on the grid that the result will have
# forecast = "forecast.nc"        # new starts, for the verb predict
# static_coarse = "static_1p0.nc"  # orography (orog) and land-sea mask (lsm); may be left out
# static_fine = "static_0p25.nc"
variable = "t2m"
# kind = "auto"       # "additive", or "multiplicative" for what cannot be negative
# missing = "refuse"  # "mask" leaves cells missing that never have a value (sea in a land data set)

[split]  # by the year of the start; days ([1993-01-01, 1993-12-31]) work as well
train = [1981, 2008]
validate = [2009, 2012]  # the method to deliver is chosen here
test = [2013, 2016]      # and scored here, once

[model]
# methods = ["raw", "climatology", "mlr"]  # all classical methods by default
network = true
# design = "direct"    # "chain": correct the coarse fields, then super-resolve them
# select_by = "crps"
# adversarial = true   # train on against a discriminator: fields as rough as real ones (table [adversarial])

[train]
# epochs = 6
seed = 0
# batch_size = 32
"""
