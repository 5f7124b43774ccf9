"""The methods, each with ``fit`` on training cases, ``predict``, and a state of plain arrays."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "METHODS": "registry",
        "Boosting": "trees",
        "Emos": "emos",
        "Forest": "trees",
        "Logistic": "logistic",
        "Raw": "raw",
        "Settings": "settings",
        "simplex_weights": "stacking",
    },
)
