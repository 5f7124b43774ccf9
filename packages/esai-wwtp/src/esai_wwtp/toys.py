"""Seeded scenes as the steps take them."""

from __future__ import annotations

from esai_wwtp.config import SyntheticConfig
from esai_wwtp.labels import Labels
from esai_wwtp.scenes import Scene
from esai_wwtp.synthetic import toy_scene

__all__ = ["open_toys"]


def open_toys(config: SyntheticConfig, *, new: bool) -> tuple[list[Scene], Labels]:
    """Make the training scenes of a config or, if `new`, its test scenes, with their labels.

    Test scenes have another seed, lie elsewhere, and hold as few plants as the prevalence allows.
    """
    import geopandas
    import pandas as pd

    if new:
        numbers = range(config.scenes, config.scenes + config.test_scenes)
        toys = [
            toy_scene(seed=config.seed + 1, size=config.size, prevalence=config.prevalence, number=i)
            for i in numbers
        ]
    else:
        toys = [
            toy_scene(seed=config.seed, size=config.size, plants=config.plants, number=i)
            for i in range(config.scenes)
        ]
    outlines = pd.concat([toy.outlines.to_crs(4326) for toy in toys], ignore_index=True)
    nothing = geopandas.GeoDataFrame({"load": []}, geometry=[], crs=4326)
    return [toy.scene for toy in toys], Labels(outlines, nothing, 200.0)
