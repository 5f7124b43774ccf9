"""Transforms fitted on the training part of a fold, applied elsewhere, undone, and saved with a model."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Anomaliser": "anomaly",
        "QuantileCategories": "categories",
        "Standardiser": "standard",
        "group_labels": "groups",
        "one_hot": "categories",
    },
)
