"""Losses of fields and ensembles: functions of ``(target, prediction)`` that give one value per example.

Targets are ``(batch, latitude, longitude, channel)``; NaN means "no truth here" and is left out, as are NaN
members. All losses are means over the cells that count, weighted by `weights` (cos-lat) where given, so that
the sum over examples divided by the global batch size is the same whatever the number of workers.
`make_loss` binds options to a name, for `esai_core.training.fit` and for Keras's own ``fit`` alike.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from esai_core.errors import UsageError, unknown
from esai_core.nn import segmentation, similarity
from esai_core.nn._keras import ops
from esai_core.nn._reduce import cell_mean, check_axes, fill

__all__ = [
    "LOSSES",
    "crps_ensemble",
    "crps_gaussian",
    "crps_l1",
    "mae",
    "make_loss",
    "mse",
    "nll_gaussian",
]


def mae(y: Any, x: Any, *, weights: Any | None = None) -> Any:
    """Mean absolute error of each example.

    Parameters
    ----------
    y, x : tensor (batch, latitude, longitude, channel)
        Target (NaN is left out) and prediction.
    weights : array, optional
        Weights of the cells, broadcast to the target.

    Returns
    -------
    tensor (batch,)
    """
    check_axes(y, x)
    y, present = fill(y)
    return cell_mean(ops.abs(x - y), present, weights)


def mse(y: Any, x: Any, *, weights: Any | None = None) -> Any:
    """Mean squared error of each example; see `mae`."""
    check_axes(y, x)
    y, present = fill(y)
    return cell_mean(ops.square(x - y), present, weights)


def _ensemble(y: Any, x: Any, fair: bool) -> tuple[Any, Any, Any]:
    """CRPS, ensemble mean and what counts, per cell; `x` has the member axis second."""
    check_axes(y, x, extra=1)
    y, present = fill(y)
    x, member = fill(x)
    count = ops.sum(member, axis=1)
    error = ops.sum(ops.abs(x - y[:, None]) * member, axis=1) / ops.maximum(count, 1.0)
    # sum over pairs |x_i - x_j| = sum over i of x_i * (members below - members above): linear in x, and that
    # factor is constant where the derivative exists.
    below = 0.0
    fixed = ops.stop_gradient(x)
    for j in range(x.shape[1]):
        below = below + ops.sign(fixed - fixed[:, j : j + 1]) * member[:, j : j + 1]
    pairs = ops.sum(x * ops.stop_gradient(below) * member, axis=1)
    divisor = count * (count - 1.0) if fair else count * count
    spread = pairs / ops.maximum(divisor, 1.0)
    mean = ops.sum(x * member, axis=1) / ops.maximum(count, 1.0)
    return error - spread, ops.abs(mean - y), present * ops.cast(count > 0, present.dtype)


def crps_ensemble(y: Any, x: Any, *, weights: Any | None = None, fair: bool = True) -> Any:
    r"""Continuous ranked probability score of an ensemble, mean over the cells of each example.

    .. math::
        \frac1m \sum_i |x_i - y| - \frac{1}{2 d} \sum_{ij} |x_i - x_j|,\quad
        d = m(m-1) \text{ (fair) or } m^2

    (Ferro, 2014, QJRMS, eq. 5; Gneiting & Raftery, 2007, eq. 20-21). The fair form estimates the score of an
    ensemble of any size, so that 25 and 51 members can be mixed.

    Parameters
    ----------
    y : tensor (batch, latitude, longitude, channel)
        Target; NaN is left out.
    x : tensor (batch, member, latitude, longitude, channel)
        Members, a fixed number; NaN members are left out, cell by cell. One member gives its absolute error.
    weights : array, optional
        Weights of the cells, broadcast to the target.
    fair : bool
        Whether the pairs are counted without the members themselves.

    Returns
    -------
    tensor (batch,)
    """
    score, _, present = _ensemble(y, x, fair)
    return cell_mean(score, present, weights)


def crps_l1(y: Any, x: Any, *, weights: Any | None = None, fair: bool = True, l1: float = 0.5) -> Any:
    """CRPS plus `l1` times the absolute error of the ensemble mean; see `crps_ensemble`."""
    score, error, present = _ensemble(y, x, fair)
    return cell_mean(score + l1 * error, present, weights)


def _normal(y: Any, x: Any) -> tuple[Any, Any, Any]:
    """Target, present and (mean, log of the standard deviation) from a prediction with both as channels."""
    check_axes(y, x)
    if x.shape[-1] != 2 * y.shape[-1]:
        raise UsageError(
            f"a gaussian loss of {y.shape[-1]} channels got a prediction of {x.shape[-1]}",
            remedy="predict the mean and the logarithm of the standard deviation of each channel",
        )
    y, present = fill(y)
    mean, log_std = ops.split(x, 2, axis=-1)
    return (y - mean) * ops.exp(-log_std), log_std, present


def crps_gaussian(y: Any, x: Any, *, weights: Any | None = None) -> Any:
    r"""CRPS of a normal distribution, mean over the cells of each example.

    .. math:: \sigma \left( z (2\Phi(z) - 1) + 2\varphi(z) - \pi^{-1/2} \right),\quad z = (y - \mu)/\sigma

    (Gneiting et al., 2005, MWR, eq. 5.)

    Parameters
    ----------
    y : tensor (batch, latitude, longitude, channel)
        Target; NaN is left out.
    x : tensor (batch, latitude, longitude, 2 * channel)
        The means, then the logarithms of the standard deviations.
    weights : array, optional
        Weights of the cells, broadcast to the target.

    Returns
    -------
    tensor (batch,)
    """
    z, log_std, present = _normal(y, x)
    density = ops.exp(-0.5 * ops.square(z)) / math.sqrt(2 * math.pi)
    score = ops.exp(log_std) * (z * ops.erf(z / math.sqrt(2)) + 2 * density - 1 / math.sqrt(math.pi))
    return cell_mean(score, present, weights)


def nll_gaussian(y: Any, x: Any, *, weights: Any | None = None) -> Any:
    """Negative log-likelihood of a normal distribution; see `crps_gaussian` for the shapes."""
    z, log_std, present = _normal(y, x)
    return cell_mean(log_std + 0.5 * ops.square(z) + 0.5 * math.log(2 * math.pi), present, weights)


LOSSES: dict[str, Callable[..., Any]] = {
    "bce_dice": segmentation.bce_dice,
    "crps": functools.partial(crps_ensemble, fair=False),
    "crps_fair": crps_ensemble,
    "crps_gaussian": crps_gaussian,
    "crps_l1": crps_l1,
    "dssim": similarity.dssim,
    "focal_tversky": segmentation.focal_tversky,
    "mae": mae,
    "ms_dssim": similarity.ms_dssim,
    "mse": mse,
    "nll_gaussian": nll_gaussian,
}


def make_loss(name: str, *, weights: np.ndarray | None = None, **options: Any) -> Callable[[Any, Any], Any]:
    """Give a loss by its name, with its options bound.

    Parameters
    ----------
    name : str
        One of `LOSSES`.
    weights : array, optional
        Weights of the cells, of shape (latitude, longitude) or one that broadcasts to the target; scaled to
        mean 1.
    **options
        Further arguments of the loss.

    Returns
    -------
    callable
        ``loss(target, prediction) -> (batch,)``.

    Raises
    ------
    UsageError
        For an unknown name, or weights that are negative, missing or all zero.
    """
    if name not in LOSSES:
        raise unknown("loss", name, LOSSES)
    if weights is not None:
        weights = np.asarray(weights, "float32")
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise UsageError("weights of a loss must be finite, not negative, and not all zero")
        weights = (weights / weights.mean()).reshape(
            weights.shape if weights.ndim != 2 else (*weights.shape, 1)
        )
        options["weights"] = weights
    return functools.partial(LOSSES[name], **options)
