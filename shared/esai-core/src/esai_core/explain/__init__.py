"""What drives a prediction: importance by permutation, Shapley values, gradients and occlusion - and a check.

Every function takes what a model does (a predict or gradient function) or a fitted model of a known kind, and
gives an `Attribution`, which reports show (`esai_core.report.add_drivers`). Importance tells what a *model*
uses; whether nature uses it too is asked in `esai_core.causality`.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Attribution": "attribution",
        "Drivers": "drivers",
        "integrated_gradients": "gradients",
        "mean_size": "attribution",
        "occlusion": "gradients",
        "permutation_importance": "permutation",
        "RandomisationCheck": "sanity",
        "randomisation_check": "sanity",
        "shap_values": "shapley",
        "shapley_importance": "shapley",
    },
)
