"""Adversarial training after the supervised one: a discriminator that tells made fields from real ones.

A network that minimises a mean error must leave out whatever its inputs do not determine, and so its fields
are too smooth. Trained on against a discriminator (`esai_core.training.Adversary`) it gives some accuracy for
fields with the variance of real ones; by how much is in the report beside the supervised network's figures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.training import Adversary, TrainConfig
from esai_core.training import fit as train
from esai_core.training.files import read_checkpoint
from esai_seasonal.config import AdversarialConfig
from esai_seasonal.network import varying

__all__ = ["member_samples", "noise", "oppose"]

GIVEN = ("predictors", "conditions")
"""Inputs of a network that its discriminator sees too."""


def oppose(
    models: Sequence[Any],
    examples: Any,
    *,
    shape: Mapping[str, Any],
    loss: Callable[[Any, Any], Any],
    config: TrainConfig,
    against: AdversarialConfig,
    folder: Path,
    sample: Callable[[Any, Any], tuple[Any, Any]] | None = None,
    resume: bool = False,
    workers: int | None = None,
) -> tuple[list[Any], list[dict[str, Any]]]:
    """Train supervised networks on against discriminators.

    Parameters
    ----------
    models : sequence of keras.Model
        The supervised networks; they stay as they are.
    examples : Source
        With the inputs of `shape`.
    shape : mapping
        Arguments of `esai_seasonal.network.varying.build` for the networks to make.
    loss, config, folder, resume, workers
        As of the supervised training; rate and epochs come from `against`.
    against : AdversarialConfig
        The table ``[adversarial]``.
    sample : callable, optional
        What is judged of targets and outputs, as of `esai_core.training.Adversary`.

    Returns
    -------
    models : list
        Networks of `shape`.
    history : list of dict
        Rows of their trainings; ``network`` goes on from the supervised ones. ``checkpoint.npz`` in the
        folder of each holds the generator, the discriminator and both optimizers.
    """
    inputs, _ = examples.read(np.zeros(1, int))
    size = inputs["predictors"].shape[1:3]
    channels = {name: inputs[name].shape[-1] for name in GIVEN}

    def judge() -> Any:
        from esai_core import nn

        given = {name: (*size, count) for name, count in channels.items()}
        return nn.discriminator(sample=(*size, 1), given=given, width=against.width, depth=2)

    made, history = [], []
    for number, model in enumerate(models):
        changed = {
            "epochs": against.epochs,
            "learning_rate": against.learning_rate,
            "schedule": "constant",
            "patience": None,
            "accumulate_steps": 1,
            "seed": config.seed + number,
        }
        found = train(
            lambda model=model: varying.adopt(varying.build(**shape), model),
            examples,
            loss=loss,
            config=config.model_copy(update=changed),
            folder=folder / f"adversarial_{number}",
            resume=resume,
            workers=workers,
            adversary=Adversary(
                discriminator=judge,
                weight=against.weight,
                learning_rate=against.learning_rate,
                sample=sample,
            ),
        )
        made.append(found.model)
        history += [{"network": len(models) + number, **row} for row in found.rows]
    return made, history


def discriminator_weights(folder: Path, count: int) -> dict[str, np.ndarray]:
    """Read what the checkpoints of `oppose` hold beside the networks: discriminators and optimizers."""
    arrays: dict[str, np.ndarray] = {}
    for number in range(count):
        found, _ = read_checkpoint(folder / f"adversarial_{number}" / "checkpoint.npz")
        arrays |= {f"opposed_{number}/{k}": v for k, v in found.items() if k.startswith("opposed")}
    return arrays


def noise(keys: np.ndarray, shape: tuple[int, int], *, draw: int = 0) -> np.ndarray:
    """Draw normal noise that depends on a key of each field and the draw alone.

    Parameters
    ----------
    keys : array (field, ...), int
        Non-negative numbers that tell the fields apart (their times, or epoch and number).
    shape : (int, int)
        Rows and columns.
    draw : int
        Another number gives another draw.

    Returns
    -------
    ndarray
        ``(field, latitude, longitude, 1)``, float32.
    """
    keys = np.asarray(keys, dtype=np.int64).reshape(len(keys), -1)
    fields = [np.random.default_rng([draw, *key.tolist()]).standard_normal(shape, "float32") for key in keys]
    return np.stack(fields)[..., None] if fields else np.empty((0, *shape, 1), "float32")


def member_samples(target: Any, output: Any) -> tuple[Any, Any]:
    """Give what is judged in a correction: the truth and a member, both standardised by the climatology.

    Parameters
    ----------
    target : tensor
        Baseline, scale and truth in the last axis.
    output : tensor
        Shift, logarithm of the scale's factor, and the member in normal quantiles.
    """
    from esai_core.nn._keras import ops

    real = (target[..., 2:3] - target[..., 0:1]) / target[..., 1:2]
    return real, output[..., 0:1] + ops.exp(output[..., 1:2]) * output[..., 2:3]
