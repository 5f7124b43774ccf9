"""Forecasts corrected at stations, surface NO2 from satellite, a corrected reanalysis."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "MosConfig": "mos.config",
        "Panel": "mos.panel",
        "State": "mos.state",
        "advance": "mos.engine",
        "analogs": "mos.kernels",
        "d1max": "mos.daily",
        "d8max": "mos.daily",
        "extend": "mos.state",
        "kalman": "mos.kernels",
        "load_state": "mos.store",
        "map_quantiles": "mos.quantiles",
        "moving_average": "mos.kernels",
        "persistence": "mos.kernels",
        "read_panel": "mos.panel",
        "save_state": "mos.store",
        "start": "mos.state",
    },
)
