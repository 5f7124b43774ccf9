"""The config of a run: what a TOML file may say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from esai_core.config import Config, DataPath, Section

__all__ = ["METHOD_NAMES", "TEMPLATE", "WINDOWS", "S2sConfig", "SyntheticConfig", "files_by_name"]

Method = Literal["climatology", "raw", "logistic", "forest", "boosting", "emos", "ensemble"]

METHOD_NAMES: tuple[Method, ...] = (
    "climatology",
    "raw",
    "logistic",
    "forest",
    "boosting",
    "emos",
    "ensemble",
)
WINDOWS = {"14d": (14, 27), "28d": (28, 41)}
"""First and last lead day, both included; day l runs from l to l + 1 days after the start."""

Predictor = Literal["mean", "spread", "season"]


Models = Annotated[dict[str, DataPath], Field(min_length=1)]


class SyntheticConfig(Section):
    """The table ``[data.synthetic]``: a made-up Earth in the layout of the S2S AI challenge."""

    spacing: Annotated[float, Field(gt=0, le=30)] = 1.5
    """Degrees between grid points; 1.5 gives 121 x 240."""
    first_year: Annotated[int, Field(ge=1950, le=2100)] = 2000
    """Of the starts."""
    years: Annotated[int, Field(ge=4, le=100)] = 20
    """Number of years, with a start on every seventh day of each."""
    members: Annotated[int, Field(ge=2, le=100)] = 11
    """Of the forecast."""
    sea: bool = False
    """Observe the sea as well; else it is masked."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the weather."""


class DataConfig(Section):
    """The table ``[data]``."""

    forecast: DataPath | Models | None = None
    """Hindcast with start, lead (days, or windows) and member, or a table of several models by name; the
    first gives the starts. Without any only past observations predict."""
    observations: DataPath | None = None
    """Truth: on starts and leads like the forecast, or a daily series by date."""
    synthetic: SyntheticConfig | None = None
    """Made-up forecast and truth instead of files."""
    live: DataPath | Models | None = None
    """New starts for the verb predict: the newest start that it holds is forecast."""
    chunk_cells: Annotated[int, Field(ge=1)] = 1000
    """Cells read and worked on at a time (whole latitudes): what memory is needed for."""
    variables: Annotated[tuple[str, ...], Field(min_length=1)]
    """Variables; of a file with one forecast called `forecast` and the truth called `obs`, any one name."""
    kind: Literal["auto", "normal", "precipitation"] = "auto"
    """How a variable is treated; auto: by its name."""
    accumulated: bool = False
    """Precipitation counts from the start on (tp of ECMWF; GRIB tells by itself), instead of day by day."""
    windows: dict[str, tuple[int, int]] = WINDOWS
    """First and last lead day of each window, where the file has daily leads."""
    span_days: tuple[int, int] = (0, 45)
    """Days after the start that the truth reaches over, where the file has no daily leads."""
    start_every: Annotated[int, Field(ge=1, le=366)] = 7
    """Days from start to start where there is no forecast; the starts are Thursdays for 7."""
    categories: Literal[3, 5] = 3
    """Terciles or quintiles."""
    dry_edge: Annotated[float, Field(ge=0)] | None = None
    """Leave out places where the lowest edge of precipitation is below this (challenge: 0.01)."""

    @model_validator(mode="after")
    def _sound(self) -> DataConfig:
        for name, (first, last) in self.windows.items():
            if not 0 <= first <= last:
                raise ValueError(f"window {name} = [{first}, {last}] is no range of days")
        if not 0 <= self.span_days[0] <= self.span_days[1]:
            raise ValueError(f"span_days = {list(self.span_days)} is no range of days")
        if (self.synthetic is None) == (self.observations is None):
            raise ValueError("give observations, or the table synthetic")
        if self.synthetic is not None and self.forecast is not None:
            raise ValueError("synthetic makes the forecast as well: leave out forecast")
        if isinstance(self.live, dict) and set(self.live) - set(self.models):
            raise ValueError(f"live names models that forecast lacks: it has {', '.join(self.models)}")
        if len(set(self.variables)) < len(self.variables):
            raise ValueError("a variable is named twice")
        return self

    @property
    def models(self) -> dict[str, Path]:
        """Files of the forecast models by name; one that is not named is called "forecast"."""
        return files_by_name(self.forecast)

    @property
    def title(self) -> str:
        """What the data are, in a few words."""
        if self.synthetic is not None:
            return "made-up Earth"
        source: list[Path | None] = [*self.models.values()]
        return ", ".join(path.name for path in source or [self.observations] if path is not None)


def files_by_name(given: Path | dict[str, Path] | None) -> dict[str, Path]:
    """Return a table of files, whichever way it was given."""
    if given is None:
        return {}
    return given if isinstance(given, dict) else {"forecast": given}


class EdgesConfig(Section):
    """The table ``[edges]``: the cases that category edges and anomalies come from, inside each fold."""

    group: Literal["week", "month", "none"] = "week"
    """Edges of each week of the year, of each month, or one for all (data without a seasonal cycle)."""
    window: Annotated[int, Field(ge=0, le=8)] = 2
    """Weeks (months) before and after that count as well."""


class SplitConfig(Section):
    """The table ``[split]``."""

    blocks: Literal["season", "year"] = "season"
    """What is held out at a time: twelve months that tear no season apart, or a calendar year."""
    test: Literal["each"] | Annotated[int, Field(ge=1)] | tuple[int, int] = "each"
    """Hold out each block in turn, or only one year (of its end, for seasons) or a first and last one."""
    inner: Annotated[int, Field(ge=2, le=20)] = 5
    """Parts of the training blocks that give the out-of-fold forecasts for the weights of the ensemble."""
    allow_torn_seasons: bool = False
    """Accept blocks = "year" where it cuts a season of starts at New Year."""


class ModelConfig(Section):
    """The table ``[model]``: details of the methods."""

    logistic_predictors: Annotated[tuple[Predictor, ...], Field(min_length=1)] = ("mean",)
    """Predictors of the logistic regression (past observations are added where there is no forecast)."""
    logistic_window: Annotated[int, Field(ge=0, le=26)] = 0
    """Weeks before and after that a week's own logistic regression is fitted on; 0: one for all weeks."""
    tree_predictors: Annotated[tuple[Predictor, ...], Field(min_length=1)] = ("mean", "spread")
    """Predictors of forest and boosting; with many cells their place as well."""
    power: Literal["auto", "none", "sqrt", "cbrt"] = "auto"
    """Applied to members before averaging; auto: sqrt for precipitation."""
    logistic_c: Annotated[float, Field(gt=0)] = 1.0
    """Inverse strength of the ridge, as in scikit-learn."""
    trees: Annotated[int, Field(ge=1, le=5000)] = 100
    """Trees of the forest."""
    leaf: Annotated[int, Field(ge=1)] = 20
    """Least cases in a leaf of the forest."""
    rounds: Annotated[int, Field(ge=1, le=5000)] = 80
    """Rounds of boosting."""
    depth: Annotated[int, Field(ge=1, le=10)] = 2
    """Depth of a boosted tree."""
    rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Step of boosting."""
    max_rows: Annotated[int, Field(ge=1000)] = 100_000
    """Largest sample that trees are grown on, drawn from all cells."""
    pool_cells: Annotated[int, Field(ge=1)] = 3000
    """Of more cells than these, sea included, about so many are drawn to grow trees on."""
    emos_objective: Literal["crps", "rps"] = "crps"
    """What EMOS minimises."""
    shrinkage: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    """Pull of the weights to climatology, in units of its score; auto: chosen on left-out blocks."""


class S2sConfig(Config):
    """A run of esai-s2s."""

    data: DataConfig
    models: Annotated[tuple[Method, ...], Field(min_length=1)] = METHOD_NAMES
    """Methods to fit and score; climatology is always there, and the ensemble is delivered if named."""
    edges: EdgesConfig = EdgesConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    seed: Annotated[int, Field(ge=0)] = 0
    """Of everything drawn at random."""


TEMPLATE = """\
# esai-s2s: probabilities of terciles for weeks 3-4 and 5-6.
# Paths are relative to this file, else to the folder that the environment variable ESAI_DATA names.

schema_version = 1
models = ["climatology", "raw", "logistic", "forest", "boosting", "emos", "ensemble"]
seed = 0

[data]
forecast = "hindcast.nc"          # start x member x lead (days): SubX, ECMWF S2S, climetlab
observations = "observations.nc"  # on starts and leads, or a daily series by date
# live = "newest.nc"              # a new start, for the verb predict
variables = ["t2m"]
# accumulated = true              # tp counts from the start on

[edges]           # fitted again in each fold
group = "week"    # "none" for an index without a seasonal cycle
window = 2        # weeks before and after

[split]
blocks = "season"  # or "year"
test = "each"      # or [2018, 2020]: held out, scored once

# [model]
# logistic_predictors = ["mean"]
# tree_predictors = ["mean", "spread"]
"""
