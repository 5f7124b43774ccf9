"""Wastewater plants from Sentinel-2, their methane, and the proxy an emission model needs.

Parts that a notebook can call::

    from esai_wwtp import CellGrid, distribute, methane, open_scene, read_uwwtd

    plants = read_uwwtd("uwwtd_plants.csv").plants
    plants["ch4"] = methane(plants["load"])
    grid = CellGrid.regular(west=-10, east=5, south=35, north=44.5, spacing=0.1)
    weights = distribute(plants, grid).dataset()
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "CellGrid": "proxy",
        "Chips": "chips",
        "JOB": "job",
        "Proxy": "proxy",
        "Scaling": "reflectance",
        "Scene": "scenes",
        "Window": "scenes",
        "WwtpConfig": "config",
        "distribute": "proxy",
        "drop_duplicates": "plants",
        "infer": "tiling",
        "load_card": "network",
        "load_runner": "network",
        "methane": "emissions",
        "open_scene": "opening",
        "outline_plants": "plants",
        "read_chips": "chips",
        "read_labels": "labels",
        "read_scaling": "reflectance",
        "read_uwwtd": "uwwtd",
        "tiles": "tiling",
        "to_reflectance": "reflectance",
        "toy_scene": "synthetic",
    },
)
