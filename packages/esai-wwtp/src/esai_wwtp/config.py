"""The config of a run: what a TOML file may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from esai_core.config import Config, DataPath, Section
from esai_core.training.config import TrainConfig

__all__ = ["TEMPLATE", "WwtpConfig"]

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]


class SyntheticConfig(Section):
    """The table ``[data.synthetic]``: seeded scenes with known plants, instead of files."""

    scenes: Positive = 8
    """Scenes to train on."""
    test_scenes: Positive = 4
    """Scenes to predict and score."""
    size: Annotated[int, Field(ge=256)] = 2048
    """Rows and columns of a scene."""
    plants: Positive = 12
    """Plants of a training scene; test scenes hold as many as the prevalence allows."""
    prevalence: Annotated[float, Field(gt=0, lt=0.1)] = 4.5e-4
    """Largest share of plant pixels in a test scene."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the scenes."""


class DataConfig(Section):
    """The table ``[data]``: scenes with labels, or chips with masks."""

    scenes: tuple[DataPath, ...] = ()
    """Sentinel-2 scenes: SAFE folders, STAC items or searches (JSON), or folders of one GeoTIFF or JP2 per
    band."""
    labels: tuple[DataPath, ...] = ()
    """Plants: OSM polygons (GeoJSON, GeoPackage), or points (UWWTD tables) that become ignored regions."""
    chips: DataPath | None = None
    """Instead of scenes: a zip of ``images/``, ``masks/`` and ``transforms.csv``."""
    test_scenes: tuple[DataPath, ...] = ()
    """Scenes that do not train: they are predicted and scored. Without them all scenes are predicted."""
    join: bool = False
    """Join the STAC items of each day and UTM zone to one scene at 10 m (needs the extra ``stac``)."""
    synthetic: SyntheticConfig | None = None
    """Seeded scenes instead of files."""
    positive: tuple[int, ...] = (1,)
    """Values of a mask that are the class."""
    ignore: tuple[int, ...] = ()
    """Values of a mask that neither train nor score."""
    bands: tuple[str, ...] = ("B02", "B03", "B04", "B08")
    """Bands of the scenes, all at 10 m."""
    units: Literal["auto", "reflectance", "tci"] = "auto"
    """Digital numbers by the metadata; floats that are reflectance; chips: ESA's true colour (tci). Pictures
    scaled to 255 by hand are refused."""
    offset: Annotated[float, Field(ge=-10000, le=10000)] | None = None
    """Overrides the offset (in digital numbers) of the metadata, -1000 or 0."""
    clouds: bool = True
    """Mask clouds, shadows and snow by the scene classification, where there is one."""
    point_radius_m: Annotated[float, Field(gt=0)] = 200.0
    """Around points, pixels are ignored."""


class SplitConfig(Section):
    """The table ``[split]``: blocks of space, so that no test pixel lies near a training pixel."""

    block_km: Annotated[float, Field(gt=0)] = 20.0
    """Size of the blocks."""
    buffer_km: Annotated[float, Field(ge=0)] = 3.0
    """Training examples this near to a test example are left out."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Parts; one is the test part."""
    fold: Annotated[int, Field(ge=0)] = 0
    """Which part is the test part."""
    test_zone: Annotated[int, Field(ge=1, le=60)] | None = None
    """Hold out a whole UTM zone instead."""


class ModelConfig(Section):
    """The table ``[model]``: the U-Net."""

    width: Positive = 8
    """Channels of the first level."""
    depth: Annotated[int, Field(ge=1, le=6)] = 4
    """Levels."""
    loss: Literal["bce_dice", "focal_tversky"] = "bce_dice"
    """Loss."""
    runtime: Literal["onnx", "keras"] = "onnx"
    """What runs the network in inference."""


class TrainSection(TrainConfig):
    """The table ``[train]``: how the network is trained."""

    epochs: Positive = 20
    """Times that every chip is seen."""
    batch_size: Positive = 8
    """Chips per step, over all workers together."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    """Step size of Adam at its start."""
    schedule: Literal["constant", "cosine"] = "cosine"
    """How the learning rate goes on: unchanged, or along a half cosine to 0 at the last step."""
    warmup_steps: Annotated[int, Field(ge=0)] = 30
    """Steps over which the learning rate rises from 0."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Decoupled decay of the weights (AdamW); biases and scales are left alone."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the gradient over all weights and workers."""
    chip: Annotated[int, Field(ge=32)] = 192
    """Side of the training chips in pixels."""
    brightness: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Spread of the random factor of all bands (a third of it for each band alone)."""
    noise: Annotated[float, Field(ge=0, lt=0.1)] = 0.003
    """Spread of random noise, in reflectance."""
    per_scene: Positive = 200
    """Chips drawn from each scene; half of them on plants, a quarter on hard negatives."""
    mining_epochs: Annotated[int, Field(ge=0)] = 3
    """Epochs of a second training, with chips of what the first took for a plant in the training scenes."""


class TilingConfig(Section):
    """The table ``[tiling]``: inference in windows that fit together exactly."""

    size: Annotated[int, Field(ge=64)] = 768
    """Side of the core of a window in pixels, rounded up to the network's alignment."""
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads of the runtime; those of the machine by default."""
    skip_sea: bool = True
    """Skip windows that are water throughout (NDWI), beside those without data."""


class ObjectConfig(Section):
    """The table ``[objects]``: from probabilities to plants."""

    threshold: Share | None = None
    """Probability of a plant; by default chosen on validation examples."""
    min_pixels: Annotated[int, Field(ge=1)] | None = None
    """Smaller finds are dropped; by default half the size of the smallest labelled plants (5 % quantile)."""
    close_pixels: Annotated[int, Field(ge=0, le=20)] = 2
    """Parts this near are one plant."""
    crs: str = "EPSG:3035"
    """Equal-area CRS in which plants are measured and written."""


class GridConfig(Section):
    """The table ``[proxy.grid]``: degrees, edges of the outermost cells."""

    west: Annotated[float, Field(ge=-180, lt=360)] = -10.0
    """Western edge."""
    east: Annotated[float, Field(gt=-180, le=360)] = 5.0
    """Eastern edge; below the western one across the antimeridian."""
    south: Annotated[float, Field(ge=-90, lt=90)] = 35.0
    """Southern edge."""
    north: Annotated[float, Field(gt=-90, le=90)] = 44.5
    """Northern edge."""
    spacing: Annotated[float, Field(gt=0)] | tuple[float, float] = 0.1
    """Size of a cell; one number, or longitude and latitude."""


class TotalConfig(Section):
    """A table ``[proxy.totals.ES]``: the national total that the plants distribute."""

    pe: Annotated[float, Field(gt=0)] | None = None
    """Load served, in population equivalents; the methane follows from it."""
    ch4_kt: Annotated[float, Field(gt=0)] | None = None
    """Methane in kt per year, as reported."""

    @model_validator(mode="after")
    def _one(self) -> TotalConfig:
        if (self.pe is None) == (self.ch4_kt is None):
            raise ValueError("give one of pe and ch4_kt")
        return self


class FallbackConfig(Section):
    """A table ``[proxy.fallback.PT]``: where a country without a plant on the grid emits."""

    bounds: tuple[float, float, float, float]
    """West, south, east, north of the country."""
    by: Literal["area", "population"] = "area"
    """Even over the area, or as the population of ``proxy.population``."""


class EmissionConfig(Section):
    """The table ``[proxy.emission]``: IPCC 2019, Volume 5, Chapter 6."""

    pathway: Literal[
        "centralised_aerobic", "anaerobic_reactor", "shallow_lagoon", "deep_lagoon", "septic_tank"
    ] = "centralised_aerobic"
    """Treatment system of all plants."""
    bod: Annotated[float, Field(gt=0, lt=1000)] = 60.0
    """g BOD per population equivalent and day."""
    discharge: Literal["none", "tier1", "river", "lake"] = "none"
    """Add the methane of the effluent in this water, by each plant's level of treatment."""
    recovered: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the methane that is recovered or flared."""


class ProxyConfig(Section):
    """The table ``[proxy]``: methane of plants as weights on a grid."""

    plants: DataPath
    """The table of the UWWTD (CSV), or plants of a run (GeoPackage, GeoParquet)."""
    country: str | None = None
    """Country of plants that do not name one."""
    year: Annotated[int, Field(ge=1990, le=2100)] = 2014
    """Of the emissions, in the exports."""
    grid: GridConfig = GridConfig()
    totals: dict[str, TotalConfig] = Field(default_factory=dict)
    """National totals by country; the sum over its plants for those that are not named."""
    emission: EmissionConfig = EmissionConfig()
    fallback: dict[str, FallbackConfig] = Field(default_factory=dict)
    """For countries without a plant on the grid."""
    off_grid: Literal["redistribute", "exclude"] = "redistribute"
    """Share of plants off the grid: given to those on it, or left out of the grid's total."""
    population: DataPath | None = None
    """Population (NetCDF, latitude and longitude of cell centres), to compare with and to fall back on."""
    active_only: bool = False
    """Leave out plants that the table calls inactive."""
    estimate_loads: bool = False
    """Estimate the loads that the table lacks from capacity, treatment and place, with an interval."""


class CapacityConfig(Section):
    """The table ``[capacity]``: loads of plants from their outlines, learnt from labels with a load.

    Where labels have a level of treatment too (points of the UWWTD do), that is learnt as well.
    """

    block_km: Annotated[float, Field(gt=0)] = 20.0
    """Blocks of space that calibrate the interval."""


class WwtpConfig(Config):
    """A run of esai-wwtp."""

    data: DataConfig = DataConfig()
    split: SplitConfig = SplitConfig()
    model: ModelConfig = ModelConfig()
    train: TrainSection = TrainSection()
    tiling: TilingConfig = TilingConfig()
    objects: ObjectConfig = ObjectConfig()
    capacity: CapacityConfig | None = None
    proxy: ProxyConfig | None = None

    @model_validator(mode="after")
    def _has_work(self) -> WwtpConfig:
        given = [bool(self.data.scenes), self.data.chips is not None, self.data.synthetic is not None]
        if sum(given) > 1:
            raise ValueError("data.scenes, data.chips, data.synthetic: give one of them")
        if not any(given) and self.proxy is None:
            raise ValueError("nothing to do: give data.scenes, data.chips or [proxy]")
        if (self.data.units == "tci" and self.data.scenes) or (
            self.data.units == "reflectance" and self.data.chips
        ):
            raise ValueError("data.units: tci goes with chips, reflectance with scenes")
        if self.split.fold >= self.split.folds:
            raise ValueError("split.fold counts from 0, below split.folds")
        return self


TEMPLATE = """\
# esai-wwtp: find wastewater plants in Sentinel-2 scenes, and distribute methane by plants.
# Paths are relative to this file, else to the folder that the environment variable ESAI_DATA names.

schema_version = 1

[data]
scenes = ["scenes/S2A_MSIL2A_20230821T110621.SAFE"]  # SAFE folders, STAC items, folders of GeoTIFF or JP2
labels = ["osm_wwtp.geojson"]  # polygons; tables of points (UWWTD) become ignore regions
# offset = -1000  # only where the metadata is wrong: the default is what it says
# clouds = true

[split]
block_km = 20.0
buffer_km = 3.0

[model]
width = 8
depth = 4
loss = "bce_dice"  # or "focal_tversky"

[train]
epochs = 20
seed = 0

[tiling]
size = 768

# [objects]
# threshold = 0.5  # chosen on validation examples by default

# Methane and the proxy: `esai-wwtp proxy CONFIG --out DIR`
# [proxy]
# plants = "uwwtd_plants.csv"
# [proxy.grid]
# west = -10.0
# east = 5.0
# south = 35.0
# north = 44.5
# spacing = 0.1
# [proxy.totals.ES]
# ch4_kt = 25.3
"""
