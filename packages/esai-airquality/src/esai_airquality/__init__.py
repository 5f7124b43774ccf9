"""Forecasts corrected at stations, surface NO2 from satellite, a corrected reanalysis."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Gridder": "no2.gridding",
        "MosConfig": "mos.config",
        "No2Config": "no2.config",
        "Panel": "mos.panel",
        "State": "mos.state",
        "Swath": "no2.s5p",
        "advance": "mos.engine",
        "analogs": "mos.kernels",
        "apply_kernel": "no2.s5p",
        "d1max": "mos.daily",
        "d8max": "mos.daily",
        "daily_columns": "no2.satellite",
        "extend": "mos.state",
        "fit_applicability": "no2.applicability",
        "kalman": "mos.kernels",
        "load_state": "mos.store",
        "map_quantiles": "mos.quantiles",
        "moving_average": "mos.kernels",
        "persistence": "mos.kernels",
        "read_panel": "mos.panel",
        "read_s5p": "no2.s5p",
        "save_state": "mos.store",
        "start": "mos.state",
        "tropospheric_kernel": "no2.s5p",
    },
)
