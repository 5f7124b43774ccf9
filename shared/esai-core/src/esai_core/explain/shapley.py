"""Shapley values of linear models and of trees."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from esai_core.errors import EsaiError, UsageError
from esai_core.explain.attribution import Attribution, mean_size

__all__ = ["shap_values", "shapley_importance"]


def shap_values(model: Any, x: Any, *, background: Any | None = None) -> NDArray[np.float64]:
    r"""Split each prediction among the predictors (Shapley, 1953; Lundberg & Lee, 2017).

    .. math:: f(x) = \phi_0 + \sum_j \phi_j(x)

    - Linear models (with ``coef_``, generalised ones on the scale of their link):
      :math:`\phi_j = \beta_j (x_j - \bar b_j)` with the mean of the `background`: exact where predictors are
      taken to be independent.
    - XGBoost (estimators and boosters): path-dependent tree Shapley values by the library itself (Lundberg
      et al., 2020, Nat. Mach. Intell., algorithm 2), on the margin scale.
    - Forests and boosting of scikit-learn: the same by the library `shap` (extra ``explain``), on the scale
      of its ``TreeExplainer`` (probability for forests, margin for boosting).

    Parameters
    ----------
    model : fitted estimator
    x : DataFrame or array (n, predictor)
        Cases to explain.
    background : DataFrame or array (m, predictor), optional
        For linear models: what "on average" means, the training cases; `x` by default.

    Returns
    -------
    array (n, predictor), or (n, predictor, class) for classifiers of several classes

    Raises
    ------
    UsageError
        If the kind of model is unknown.
    EsaiError
        If `shap` is needed and not installed.
    """
    if hasattr(model, "get_booster"):
        return _xgboost(model.get_booster(), x)
    if hasattr(model, "inplace_predict"):
        return _xgboost(model, x)
    if hasattr(model, "coef_"):
        return _linear(model.coef_, x, x if background is None else background)
    if hasattr(model, "estimators_") or hasattr(model, "_predictors") or hasattr(model, "tree_"):
        return _trees(model, x)
    raise UsageError(
        f"no Shapley values for a {type(model).__name__}",
        remedy="use permutation_importance, or integrated_gradients for a network",
    )


def shapley_importance(
    model: Any,
    x: Any,
    *,
    names: Sequence[str] | None = None,
    background: Any | None = None,
    by: ArrayLike | None = None,
    units: str = "mean size of the contribution",
) -> Attribution:
    """Sum up `shap_values` to the mean absolute contribution of each predictor.

    Parameters
    ----------
    model, x, background
        As for `shap_values`.
    names : sequence of str, optional
        Predictors; those of the DataFrame by default.
    by : array (n,), optional
        Lead or month of each case.
    units : str
        For the report.
    """
    if names is None:
        if not hasattr(x, "columns"):
            raise UsageError("predictors without names", remedy="give names or a DataFrame")
        names = list(map(str, x.columns))
    values = shap_values(model, x, background=background)
    if values.ndim == 3:
        values = np.moveaxis(values, 1, -1)
    return mean_size(values, names=names, method="Shapley values", by=by, units=units)


def _linear(coefficients: ArrayLike, x: Any, background: Any) -> NDArray[np.float64]:
    beta = np.asarray(coefficients, np.float64)
    cases, mean = np.asarray(x, np.float64), np.asarray(background, np.float64).mean(0)
    if beta.ndim == 2 and len(beta) == 1:
        beta = beta[0]
    if beta.shape[-1] != cases.shape[-1]:
        raise UsageError(f"{beta.shape[-1]} coefficients for {cases.shape[-1]} predictors")
    away = cases - mean
    return away * beta if beta.ndim == 1 else away[:, :, None] * beta.T[None]


def _xgboost(booster: Any, x: Any) -> NDArray[np.float64]:
    library = sys.modules[type(booster).__module__]  # there, since the model is
    names = booster.feature_names
    matrix = library.DMatrix(np.asarray(x, np.float32), feature_names=names)
    found = np.asarray(booster.predict(matrix, pred_contribs=True), np.float64)[..., :-1]
    return found if found.ndim == 2 else np.moveaxis(found, 1, 2)


def _trees(model: Any, x: Any) -> NDArray[np.float64]:
    try:
        import shap
    except ImportError:
        raise EsaiError(
            "Shapley values of these trees need the library shap", remedy="pip install 'esai-core[explain]'"
        ) from None
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    found = np.asarray(explainer.shap_values(np.asarray(x, np.float64)), np.float64)
    return found[..., 1] if found.ndim == 3 and found.shape[-1] == 2 else found
