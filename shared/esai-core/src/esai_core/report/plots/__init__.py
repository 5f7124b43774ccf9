"""Plots in one style, safe for colour-blind readers, drawn without pyplot's global state.

Each function gives a `matplotlib.figure.Figure`, which `Report.figure` embeds and closes.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "colours": "style",
        "heatmap": "grids",
        "lines_by": "lines",
        "loss_curve": "lines",
        "map_panel": "grids",
        "new_figure": "style",
        "rank_histogram": "forecasts",
        "reliability_diagram": "forecasts",
        "scatter": "forecasts",
        "skill_bars": "lines",
        "spectra": "lines",
        "styled": "style",
    },
)
