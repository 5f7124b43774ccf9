"""Batched generalised linear models: one fit per cell, thousands of cells per call, each with a certificate.

Families gaussian, poisson, binomial and multinomial, with ridge and elastic-net penalties, folds as 0/1
weights and warm starts. `fit` takes one penalty, `fit_path` a path of them, `cross_validate` chooses on the
path inside each fold, and `fit_dataset` does the same on xarray objects, lazily where they are dask-backed.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "FAMILIES": "families",
        "CrossValidation": "validation",
        "Folds": "result",
        "GlmConvergenceWarning": "engine",
        "GlmFit": "result",
        "GlmPath": "result",
        "GlmStatus": "result",
        "cross_validate": "validation",
        "fit": "fitting",
        "fit_dataset": "dataset",
        "fit_path": "fitting",
        "leave_out_folds": "validation",
        "load": "result",
        "predict": "result",
        "save": "result",
        "select_lambda": "validation",
        "unit_deviance": "families",
    },
)
