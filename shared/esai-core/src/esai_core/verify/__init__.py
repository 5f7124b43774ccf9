"""Verification: scores of forecasts, with their orientation and perfect value, on xarray arrays."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "acc": "deterministic",
        "bias": "deterministic",
        "crps": "ensemble",
        "crps_fair": "ensemble",
        "d2": "deterministic",
        "ensemble_moments": "ensemble",
        "mae": "deterministic",
        "pearson_r": "deterministic",
        "rmse": "deterministic",
        "spread": "ensemble",
        "spread_skill": "ensemble",
    },
)
