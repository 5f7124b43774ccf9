"""The network: a U-Net from reflectance to the logits of a mask, with its scaling inside."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import InputError
from esai_core.io import atomic_path

__all__ = ["Card", "build", "load_card", "load_runner"]

FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What stands beside a network's weights.

    Attributes
    ----------
    bands : list of str
        Bands in the order of the channels.
    mean, spread : list of float
        Of the training pixels, in reflectance; the network itself holds them.
    halo, alignment : int
        Margin and alignment of the windows of exact tiling, in pixels.
    threshold : float
        Probability that is called the class, chosen on validation examples.
    prevalence : float
        Share of the class in the training pixels.
    min_pixels : int
        Finds with fewer pixels are dropped.
    units : str
        Always "reflectance": 1 is a white surface.
    """

    bands: list[str]
    mean: list[float]
    spread: list[float]
    halo: int
    alignment: int
    threshold: float
    prevalence: float
    min_pixels: int = 30
    units: str = "reflectance"
    format: int = FORMAT

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        with atomic_path(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=1) + "\n")


def load_card(path: Path) -> Card:
    """Read what `Card.save` wrote; InputError where it is of another version."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError("no description of the network", where=path, remedy="train again") from error
    if values.get("format") != FORMAT:
        raise InputError("a network of another version", where=path, remedy="train again")
    return Card(**values)


def build(*, mean: np.ndarray, spread: np.ndarray, prevalence: float, width: int, depth: int) -> Any:
    r"""Build the U-Net.

    .. math:: y = h(u((\rho - \mu) / \sigma)), \qquad h_0 = \log\frac{\pi}{1 - \pi}

    with the reflectance :math:`\rho`, its mean and spread inside the model, the U-Net :math:`u` (batch norm
    with momentum 0.9) and a head whose bias starts at the logarithm of the odds of the class, so that
    training does not begin by unlearning one half.

    Parameters
    ----------
    mean, spread : array (band,)
        Of the training pixels, in reflectance.
    prevalence : float
        Share of the class, between 0 and 1.
    width, depth : int
        Channels of the first level, and levels.

    Returns
    -------
    keras.Model
        ``(batch, row, column, band)`` to logits ``(batch, row, column, 1)``.
    """
    from esai_core.nn import Style
    from esai_core.nn._keras import keras
    from esai_core.nn.backbones import BACKBONES

    layers = keras.layers
    fields = keras.Input((None, None, len(mean)), name="fields")
    scale = 1.0 / np.asarray(spread, dtype=np.float64)
    x = layers.Rescaling(scale.tolist(), (-np.asarray(mean) * scale).tolist(), name="reflectance")(fields)
    style = Style(norm="batch", activation="relu", padding="zero")
    x = BACKBONES["unet"](x, None, width=width, depth=depth, style=style)
    odds = float(np.log(prevalence / (1.0 - prevalence)))
    start = keras.initializers.Constant(odds)
    y = layers.Conv2D(1, 1, kernel_initializer="zeros", bias_initializer=start, dtype="float32", name="head")(
        x
    )
    return keras.Model(fields, y, name="unet")


def load_runner(folder: Path, *, runtime: str = "onnx", threads: int | None = None) -> Any:
    """Load a network for inference.

    Rows and columns that are no multiple of the network's alignment are filled up below and to the right
    with the mean of the training pixels, as pixels without data are, and cut again.

    Parameters
    ----------
    folder : path
        With ``network.json``, and ``network.onnx`` or ``network.keras``.
    runtime : {"onnx", "keras"}
        onnxruntime is the faster one on a processor.
    threads : int, optional
        Of onnxruntime.

    Returns
    -------
    callable
        Reflectance ``(batch, row, column, band)`` to probabilities ``(batch, row, column)`` in float32.
    """
    card = load_card(folder / "network.json")
    if runtime == "onnx":
        from esai_core.nn import OnnxModel

        session = OnnxModel(folder / "network.onnx", threads=threads)

        def call(x: NDArray[np.float32]) -> NDArray[np.float32]:
            return session.predict(x, batch_size=len(x))
    else:
        from esai_core.nn import load
        from esai_core.training import predict

        model = load(folder / "network.keras")

        def call(x: NDArray[np.float32]) -> NDArray[np.float32]:
            return predict(model, x, batch_size=len(x))

    def run(x: NDArray[np.float32]) -> NDArray[np.float32]:
        rows, columns = x.shape[1:3]
        return sigmoid(call(_filled_up(x, card))[:, :rows, :columns, 0])

    return run


def _filled_up(x: NDArray[np.float32], card: Card) -> NDArray[np.float32]:
    """Give the input in rows and columns that are multiples of the alignment."""
    batch, rows, columns, bands = x.shape
    height, width = (-(-length // card.alignment) * card.alignment for length in (rows, columns))
    if (height, width) == (rows, columns):
        return x
    filled = np.empty((batch, height, width, bands), np.float32)
    filled[:] = np.asarray(card.mean, np.float32)
    filled[:, :rows, :columns] = x
    return filled


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Turn logits to probabilities in float32, without overflow."""
    return (0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, dtype=np.float32)))).astype(np.float32)
