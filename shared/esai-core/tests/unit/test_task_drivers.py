"""Which input a network of the tasks uses: against a prediction whose inputs and weights are known."""

import numpy as np
import pytest

from esai_core import training
from esai_core.tasks.drivers import attribute

PLACES = {
    "strong": [("values", (..., 0)), ("mask", (..., 0))],
    "weak": [("values", (..., 1)), ("mask", (..., 1))],
    "unused": [("values", (..., 2)), ("mask", (..., 2))],
    "guess": [("baseline", ...)],
}


@pytest.fixture
def case(monkeypatch):
    """A truth that a known linear model predicts without error, seen where the mask is 1."""
    rng = np.random.default_rng(0)
    inputs = {
        "values": rng.normal(size=(60, 3, 4, 3)),
        "mask": (rng.random((60, 3, 4, 3)) < 0.7).astype(float),
        "baseline": rng.normal(size=(60, 3, 4, 1)),
    }

    def predict(model, given, *, batch_size):
        seen = given["values"] * given["mask"]
        one = given["baseline"][..., 0] + seen[..., 0] + 0.3 * seen[..., 1]
        return np.stack([one, 2 * one], axis=-1)

    monkeypatch.setattr(training, "predict", predict)
    return inputs, predict(None, inputs, batch_size=1)


@pytest.mark.parametrize("blocks", [np.arange(60) // 2, np.zeros(60, int)], ids=["blocks", "one block"])
def test_the_loss_is_the_variance_of_what_was_exchanged(case, blocks):
    inputs, truth = case
    truth[:, 0, 0] = np.nan
    found = attribute(
        None, inputs, truth, places=PLACES, method="m", outputs=["a", "b"], blocks=blocks, repeats=20
    )
    told = dict(zip(found.names, found.by["a"], strict=True))
    seen = (inputs["values"] * inputs["mask"])[:, 1:]  # values and mask change places together
    assert told["strong"] == pytest.approx(2 * seen[..., 0].var(0, ddof=1).mean(), rel=0.15)
    assert told["weak"] == pytest.approx(2 * 0.09 * seen[..., 1].var(0, ddof=1).mean(), rel=0.15)
    assert told["unused"] == 0
    np.testing.assert_allclose(found.by["b"], 4 * found.by["a"], rtol=1e-9)
    assert list(found.ranking()[-2:]) == ["weak", "unused"]
