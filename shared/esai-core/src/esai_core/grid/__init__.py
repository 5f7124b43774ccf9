"""Regular latitude-longitude grids: areas, alignment, and regridding that keeps what it should.

SEAS5 at 1 degree and ERA5 at 0.25 degree are node-aligned: the coarse points are every fourth fine point, and
`n` of them correspond to ``4 (n - 1) + 1`` fine ones, not to ``4 n``. All functions work on coordinates, so
neither that nor the order of latitudes is left to the caller.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Alignment": "grids",
        "Grid": "grids",
        "alignment": "grids",
        "area_weights": "grids",
        "check_finer": "grids",
        "coarse_grid": "grids",
        "coarsen": "regridding",
        "coarsen_nodes": "regridding",
        "fill_nearest": "land",
        "is_node_aligned": "grids",
        "mask_sea": "land",
        "regrid": "regridding",
        "separable_weights": "regridding",
        "valid_fraction": "land",
    },
)
