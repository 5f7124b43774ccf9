"""The catalogue of the scenes of a run: what was read, where it lies, and how its numbers were taken."""

from __future__ import annotations

from typing import Any

import numpy as np

from esai_wwtp.geo import to_places
from esai_wwtp.scenes import Scene

__all__ = ["catalogue"]


def catalogue(scenes: list[Scene], *, clouds: bool = True) -> Any:
    """List scenes with their footprints.

    Parameters
    ----------
    scenes : list of Scene
    clouds : bool
        Count masked classes as not seen.

    Returns
    -------
    GeoDataFrame
        Footprints in WGS 84, with ``scene, sensed, level, baseline, quantification, offset`` (digital
        numbers, of the first band), ``crs, rows, columns, pixel_m, seen`` (share of
        pixels with data and without cloud, from an overview) and ``files``.
    """
    import geopandas
    import pandas as pd
    from shapely.geometry import Polygon

    rows = []
    for scene in scenes:
        height, width = scene.shape
        x, y = to_places(scene.transform, [0, 0, height, height], [0, width, width, 0])
        outline = geopandas.GeoSeries([Polygon(zip(x, y, strict=True))], crs=scene.crs).to_crs(4326)
        overview = scene.read(scene.whole, step=max(1, max(scene.shape) // 512), clouds=clouds)
        rows.append(
            {
                "scene": scene.name,
                "sensed": scene.sensed,
                "level": scene.scaling.level,
                "baseline": scene.scaling.baseline,
                "quantification": scene.scaling.quantification,
                "offset": scene.scaling.offset(scene.bands[0]),
                "crs": scene.crs.to_string(),
                "rows": height,
                "columns": width,
                "pixel_m": abs(scene.transform.a),
                "seen": float(np.isfinite(overview).all(-1).mean()),
                "files": ";".join(path.name for path in scene.paths),
                "geometry": outline.iloc[0],
            }
        )
    return geopandas.GeoDataFrame(pd.DataFrame(rows), geometry="geometry", crs=4326)
