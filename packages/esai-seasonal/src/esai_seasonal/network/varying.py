"""Varying-coefficient networks: convolutions choose the coefficients, the predictors enter linearly.

A small convolutional network reads maps of conditions alone (season, lead, relief, land, the scale of the
variability) and gives, for every cell, the coefficients of a regression::

    y = sum_k W_k(conditions) t_k

with the predictors ``t`` (anomaly of the ensemble mean, its domain mean, the year ...) entering linearly.
So the
network shares what it learns over months, leads, members and cells, continues a trend as a line, and
cannot learn a
year by heart from the pattern of its anomalies, which ordinary residual networks do at once with the twenty
independent years that a hindcast has. The idea is that of varying-coefficient models (Hastie and
Tibshirani 1993,
doi:10.1111/j.2517-6161.1993.tb01939.x). The coefficients start at zero: an untrained network gives its
baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from esai_core.nn._keras import keras, ops
from esai_core.nn.layers import Pad

__all__ = ["adopt", "build", "crps_l1", "ensemble_scores", "l1_l2", "normal_members", "rebuilt"]

L = keras.layers


def build(
    conditions: int,
    predictors: int,
    *,
    spread: int = 0,
    width: int = 8,
    depth: int = 2,
    kernel: int = 3,
    filters: int = 0,
    noise: int = 0,
    member: bool = False,
) -> keras.Model:
    """Build a varying-coefficient network for grids of any size.

    Parameters
    ----------
    conditions, predictors : int
        Channels of the inputs ``"conditions"`` and ``"predictors"``.
    spread : int
        Channels of a further input ``"spread"``; with them a second output, the logarithm of a scale, is
        ``S_0 + sum_j S_j spread_j``.
    width : int
        Channels of the features.
    depth : int
        Convolutions of the conditions.
    kernel : int
        Their width, odd.
    filters : int
        Linear 5 x 5 filters of the predictors (and as many with gaps, reaching 9 x 9) that join the
        predictors.
    noise : int
        Linear 5 x 5 filters of a further input ``"noise"`` of one channel, which enters with coefficients of
        its own: a new draw of it is another field that the predictors allow.
    member : bool
        Pass a further input ``"member"`` (a standardised member, one channel) on as the last output, for a
        discriminator of members.

    Returns
    -------
    keras.Model
        Input: a dict of ``(batch, latitude, longitude, channel)``; output ``(batch, latitude, longitude, 1
        to 3)``, zero before training but for the member. Layers with weights have names: `adopt` brings the
        weights of a network to one with more inputs.
    """
    shape = (None, None)
    inputs = {"conditions": keras.Input((*shape, conditions), name="conditions")}
    inputs["predictors"] = keras.Input((*shape, predictors), name="predictors")
    x = inputs["conditions"]
    for number in range(depth):
        x = L.Conv2D(width, kernel, activation="silu", name=f"features_{number}")(Pad(kernel // 2)(x))
    x = L.Conv2D(2 * width if filters else width, 1, activation="silu", name="features")(
        L.Concatenate()([x, inputs["conditions"]])
    )
    terms = inputs["predictors"]
    if filters:
        filtered = [
            L.Conv2D(filters, 5, dilation_rate=gap, use_bias=False, name=f"filters_{gap}")(
                Pad(2 * gap)(inputs["predictors"])
            )
            for gap in (1, 2)
        ]
        terms = L.Concatenate()([terms, *filtered])
    coefficients = L.Conv2D(terms.shape[-1], 1, kernel_initializer="zeros", name="coefficients")(x)
    y = ops.sum(coefficients * terms, axis=-1, keepdims=True)
    if noise:
        inputs["noise"] = keras.Input((*shape, 1), name="noise")
        drawn = L.Conv2D(noise, 5, use_bias=False, name="noise_filters")(Pad(2)(inputs["noise"]))
        drawn = L.Concatenate()([inputs["noise"], drawn])
        amplitudes = L.Conv2D(1 + noise, 1, kernel_initializer="zeros", name="noise_coefficients")(x)
        y = y + ops.sum(amplitudes * drawn, axis=-1, keepdims=True)
    if spread:
        inputs["spread"] = keras.Input((*shape, spread), name="spread")
        factors = L.Conv2D(1 + spread, 1, kernel_initializer="zeros", name="log_spread")(x)
        log_scale = factors[..., :1] + ops.sum(factors[..., 1:] * inputs["spread"], axis=-1, keepdims=True)
        y = L.Concatenate()([y, log_scale])
    if member:
        inputs["member"] = keras.Input((*shape, 1), name="member")
        y = L.Concatenate()([y, inputs["member"]])
    return keras.Model(inputs, y, name="varying")


def ensemble_scores(centre: Any, scale: Any, truth: Any, z: np.ndarray) -> Any:
    r"""Fair CRPS per cell of the members :math:`c + s z_i` with ascending :math:`z_i`.

    .. math:: \frac1n \sum_i |x_i - y| - \frac{1}{n (n - 1)} \sum_i (2 i - n - 1) x_{(i)}

    (Ferro 2014, doi:10.1002/qj.2270, equation 5, with the double sum from the order statistics.)
    """
    n = len(z)
    order = (2.0 * np.arange(1, n + 1) - n - 1.0) / (n * (n - 1.0))
    gini = float(np.sum(order * z))
    members = ops.expand_dims(centre, -1) + ops.expand_dims(scale, -1) * z.astype("float32")
    return ops.mean(ops.abs(members - ops.expand_dims(truth, -1)), axis=-1) - scale * gini


def _cell_mean(score: Any, truth: Any, area: np.ndarray) -> Any:
    present = ops.cast(ops.isfinite(truth), score.dtype) * area
    total = ops.sum(ops.where(ops.isfinite(truth), score, ops.zeros_like(score)) * present, axis=(1, 2))
    return total / ops.maximum(ops.sum(present, axis=(1, 2)), 1e-6)


def crps_l1(area: np.ndarray, z: np.ndarray, *, l1: float = 0.5) -> Callable[[Any, Any], Any]:
    """Loss of a correction: fair CRPS plus `l1` times the absolute error of the centre, area-weighted.

    Parameters
    ----------
    area : ndarray
        Weights ``(latitude, longitude)``.
    z : ndarray
        Standardised members, ascending.
    l1 : float
        Weight of the absolute error.

    Returns
    -------
    callable
        ``loss(target, output) -> (batch,)``; target channels: baseline, scale, truth (NaN is left out);
        output
        channels: shift of the centre in scales, logarithm of the factor of the scale.
    """
    area = np.asarray(area, "float32")

    def loss(target: Any, output: Any) -> Any:
        base, scale, truth = target[..., 0], target[..., 1], target[..., 2]
        filled = ops.where(ops.isfinite(truth), truth, base)
        centre = base + scale * output[..., 0]
        score = ensemble_scores(centre, scale * ops.exp(output[..., 1]), filled, z)
        return _cell_mean(score + l1 * ops.abs(centre - filled), truth, area)

    return loss


def l1_l2(area: np.ndarray) -> Callable[[Any, Any], Any]:
    """Mean of squared and absolute error, area-weighted; NaN targets are left out."""
    area = np.asarray(area, "float32")

    def loss(target: Any, output: Any) -> Any:
        truth = target[..., 0]
        error = output[..., 0] - ops.where(ops.isfinite(truth), truth, output[..., 0])
        return _cell_mean(0.5 * (ops.square(error) + ops.abs(error)), truth, area)

    return loss


def normal_members(n: int) -> np.ndarray:
    """Standardised members: normal quantiles at ``(i + 1/2) / n``."""
    from scipy.special import ndtri

    return ndtri((np.arange(n) + 0.5) / n) if n > 1 else np.zeros(1)


def adopt(model: keras.Model, source: keras.Model) -> keras.Model:
    """Give `model` the weights of the layers that it shares with `source`, by name; the others stay."""
    known = {layer.name: layer for layer in source.layers if layer.weights}
    for layer in model.layers:
        if layer.weights and layer.name in known:
            layer.set_weights(known[layer.name].get_weights())
    return model


def rebuilt(
    shape: Mapping[str, Any], arrays: Mapping[str, np.ndarray], count: int, *, name: str = "model"
) -> list[keras.Model]:
    """Build `count` networks and set their weights from the arrays ``model_0/0``, ``model_0/1`` ..."""
    models = []
    for number in range(count):
        model = build(**shape)
        model.set_weights([arrays[f"{name}_{number}/{i}"] for i in range(len(model.weights))])
        models.append(model)
    return models
