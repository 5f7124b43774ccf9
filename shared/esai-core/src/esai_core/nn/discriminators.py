"""Networks that tell real fields from made ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from esai_core.errors import UsageError
from esai_core.nn import blocks
from esai_core.nn._keras import keras
from esai_core.nn.backbones import append_fixed
from esai_core.nn.blocks import Style

__all__ = ["discriminator"]

L = keras.layers


def discriminator(
    *,
    sample: tuple[int | None, int | None, int],
    given: Mapping[str, tuple[int | None, int | None, int]] | None = None,
    condition: int = 0,
    static: np.ndarray | None = None,
    width: int = 16,
    depth: int = 2,
    padding: str = "edge",
) -> keras.Model:
    """Build a conditional patch discriminator of residual blocks.

    Parameters
    ----------
    sample : tuple (latitude, longitude, channel)
        Shape of what is judged, the input ``"sample"``.
    given : mapping of str to tuple, optional
        Further inputs on the grid of the sample that it is judged with, by the names that they have in the
        judged model (``{"baseline": (13, 17, 1)}``).
    condition : int
        Length of the input ``"condition"`` (lead, month), 0 for none.
    static : array (latitude, longitude, channel), optional
        Fixed fields, saved with the network; finite.
    width : int
        Channels of the first block; each further one has twice as many.
    depth : int
        Blocks; each but the last halves the grid, so that a logit judges a patch.
    padding : {"edge", "reflect", "zero"}
        What stands beyond the border.

    Returns
    -------
    keras.Model
        Inputs: a dict with ``"sample"``; output: logits of "real", one per patch,
        ``(batch, rows, columns, 1)`` in float32.

    Raises
    ------
    UsageError
        If a further input is not on the grid of the sample.
    """
    style = Style(padding=padding, activation="leaky_relu")
    inputs: dict[str, Any] = {"sample": keras.Input(tuple(sample), name="sample")}
    for name, shape in (given or {}).items():
        if tuple(shape[:2]) != tuple(sample[:2]):
            raise UsageError(
                f"{name} has {shape[:2]} rows and columns, the sample {tuple(sample[:2])}",
                where="discriminator",
                remedy="give it on the grid of the sample, or leave it out",
            )
        inputs[name] = keras.Input(tuple(shape), name=name)
    x = L.Concatenate()(list(inputs.values())) if len(inputs) > 1 else inputs["sample"]
    vector = None
    if condition:
        vector = inputs["condition"] = keras.Input((condition,), name="condition")
    x = append_fixed(x, static)
    x = blocks.conv(x, width, padding=padding)
    for level in range(depth):
        x = L.AveragePooling2D(2, padding="same")(x) if level else x
        x = blocks.residual_block(x, width * 2**level, vector, style=style)
    x = L.Activation(style.activation)(x)
    return keras.Model(inputs, L.Conv2D(1, 1, dtype="float32", name="logits")(x), name="discriminator")
