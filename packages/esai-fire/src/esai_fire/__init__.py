"""Burned area from ocean climate indices, and emissions from burned area."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "FORECASTERS": "forecasters",
        "FireConfig": "config",
        "Predictors": "predictors",
        "Series": "windows",
        "Settings": "forecasters",
        "closure": "factors",
        "cells_of": "gridding",
        "chain_conversion": "species",
        "combine_dry_matter": "factors",
        "compute_indices": "indices",
        "emissions_from_area": "factors",
        "fit_paths": "engines",
        "gfas_conversion": "species",
        "lag_predictors": "predictors",
        "make_plan": "folds",
        "monthly_series": "windows",
        "open_burned": "burned",
        "predictive": "intervals",
        "read_dry_matter": "factors",
        "read_factors": "factors",
        "read_firecci": "burned",
        "read_gfas": "gfas",
        "read_gfed": "burned",
        "read_indices": "reading",
        "read_land_cover": "covariates",
        "read_psl": "reading",
        "read_regions": "burned",
        "regrid_total": "gridding",
        "run_nested": "nested",
        "selection_frequency": "stability",
        "window_series": "windows",
        "windows_like": "windows",
    },
)
