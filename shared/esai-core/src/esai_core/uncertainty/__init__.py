"""Prediction intervals that cover what they claim: conformal calibration for tables, series and maps.

All of it wraps predictions of any model: what it needs is what was predicted and observed for cases that the
model has not seen. Dependence in time and space is met by blocks: a block (a year, a storm, a tile) is what
may be taken to be exchangeable, not the single value.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "AdaptiveConformal": "adaptive",
        "ConformalQuantiles": "split",
        "CrossConformal": "cross",
        "Interval": "interval",
        "SplitConformal": "split",
        "conformal_quantile": "quantile",
        "ensemble_interval": "interval",
        "interval_scores": "scores",
        "interval_sums": "scores",
        "scores_of_sums": "scores",
        "time_blocks": "blocks",
        "with_interval": "carried",
    },
)
