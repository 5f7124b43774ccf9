"""Two worker processes for the correction network against a discriminator of its members."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from esai_core.nn._keras import keras
from esai_seasonal.config import AdversarialConfig, TrainSection
from esai_seasonal.network import adversarial, varying
from esai_seasonal.network.correction import Examples

MONTHS, STARTS, LEADS, GRID = 2, 13, 2, (7, 9)


def drawn_examples() -> Examples:
    """Draw 26 examples; what the conditions say changes how the truth follows the predictors."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype="float32")

    month = np.arange(STARTS) % MONTHS
    conditions, predictors = draw(MONTHS, LEADS, *GRID, 3), draw(STARTS, LEADS, *GRID, 2)
    truth = conditions[month][..., 0] * predictors[..., 0] + 0.3 * draw(STARTS, LEADS, *GRID)
    target = np.stack([0 * truth, 1 + 0 * truth, truth], axis=-1)
    pairs = np.argwhere(np.ones((STARTS, LEADS)))
    members = draw(STARTS, LEADS, 4, *GRID)
    return Examples(conditions, month, predictors, draw(STARTS, LEADS, *GRID, 1), target, pairs, members)


def test_two_workers_give_the_curve_of_one_process(tmp_path: Path) -> None:
    """26 examples in batches of 8: the last batch of an epoch is not full."""
    shape = {"conditions": 3, "predictors": 2, "spread": 1, "width": 4}
    loss = varying.crps_l1(np.ones(GRID), varying.normal_members(5))

    def opposed(workers: int | None) -> tuple[list[Any], list[dict[str, Any]]]:
        return adversarial.oppose(
            [varying.build(**shape)],
            drawn_examples(),
            shape={**shape, "member": True},
            loss=loss,
            config=TrainSection(batch_size=8, seed=3),
            against=AdversarialConfig(epochs=4, weight=0.3, width=4, learning_rate=1e-2),
            folder=tmp_path / str(workers),
            sample=adversarial.member_samples,
            workers=workers,
        )

    keras.utils.set_random_seed(0)
    (one,), single = opposed(None)
    keras.utils.set_random_seed(0)
    (two,), shared = opposed(2)
    for name in ("loss", "pixel_loss", "discriminator_loss"):
        curves = [[row[name] for row in rows[1:]] for rows in (shared, single)]
        np.testing.assert_allclose(*curves, rtol=1e-5, err_msg=name)
    assert single[-1]["pixel_loss"] < 0.95 * single[1]["pixel_loss"]
    for ours, theirs in zip(two.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
