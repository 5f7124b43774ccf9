"""Attributions of networks: gradients against finite differences, injected drivers, randomised weights."""

from __future__ import annotations

import numpy as np
import pytest

from esai_core import nn
from esai_core.errors import UsageError
from esai_core.explain import (
    integrated_gradients,
    mean_size,
    occlusion,
    permutation_importance,
    randomisation_check,
)
from esai_core.nn._keras import keras
from esai_core.training import predict

NAMES = ["decoy", "driver", "noise", "other"]


@pytest.fixture(scope="module")
def trained():
    """A convolutional network that learnt to smooth its second channel; cases and truth."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(192, 6, 7, 4)).astype("f4")
    y = 1.5 * x[..., 1:2] + 0.5 * np.roll(x[..., 1:2], 1, axis=1)
    keras.utils.set_random_seed(0)
    model = nn.build("convnet", fields=(6, 7, 4), width=12, depth=1, baseline=False)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit({"fields": x}, y, epochs=30, batch_size=32, verbose=0)
    return model, x[:40], y[:40]


def centre(output):
    return output[:, 3, 3, 0]


def test_gradients_are_finite_differences(trained):
    model, x, _ = trained
    gradient = nn.input_gradient(model, name="fields", output=centre, batch_size=16)(x)
    assert gradient.shape == x.shape
    for place in ((3, 3, 1), (2, 3, 1), (3, 4, 0)):
        step = np.zeros_like(x)
        step[(slice(None), *place)] = 1e-2
        change = predict(model, {"fields": x + step}) - predict(model, {"fields": x - step})
        np.testing.assert_allclose(gradient[(slice(None), *place)], change[:, 3, 3, 0] / 2e-2, atol=2e-2)


def test_injected_drivers_rank_first_by_every_method_and_the_check_passes(trained):
    model, x, y = trained

    def run(z):
        return predict(model, {"fields": z})

    shuffled = permutation_importance(lambda z: run(z)[..., 0], x, y[..., 0], names=NAMES, repeats=3)

    def attribute(one):
        return integrated_gradients(nn.input_gradient(one, name="fields", output=centre), x, steps=8)

    found = attribute(model)
    whole = predict(model, {"fields": x})[:, 3, 3, 0] - predict(model, {"fields": 0 * x})[:, 3, 3, 0]
    np.testing.assert_allclose(found.sum((1, 2, 3)), whole, atol=2e-2)
    hidden = occlusion(lambda z: run(z)[:, 3, 3, 0], x)
    for one in (shuffled, *(mean_size(a, names=NAMES, method="m") for a in (found, hidden))):
        assert one.ranking()[0] == "driver"
    near = np.abs(occlusion(lambda z: run(z)[:, 3, 3, 0], x, patch=2)[..., 1]).mean(0)
    assert np.unravel_index(near.argmax(), near.shape) == (1, 1)
    check = randomisation_check(
        mean_size(found, names=NAMES, method="m").values,
        lambda seed: mean_size(attribute(nn.randomised(model, seed=seed)), names=NAMES, method="m").values,
        count=4,
    )
    assert check.passed


def test_a_randomised_copy_keeps_the_weights_apart_from_their_order(trained):
    model, x, _ = trained
    before = predict(model, {"fields": x})
    copy = nn.randomised(model, seed=3)
    for one, other in zip(model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(np.sort(one, axis=None), np.sort(other, axis=None))
    np.testing.assert_array_equal(predict(model, {"fields": x}), before)
    assert not np.allclose(predict(copy, {"fields": x}), before)


def test_a_fixed_input_goes_with_its_cases_and_unknown_inputs_are_named():
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    model = keras.Model({"a": a, "b": b}, keras.layers.Multiply()([a, b]))
    given = np.arange(12.0).reshape(4, 3)
    gradient = nn.input_gradient(model, name="a", fixed={"b": given}, batch_size=3)
    np.testing.assert_allclose(gradient(np.ones((4, 3))), given / 3)
    with pytest.raises(UsageError, match="there are a, b"):
        nn.input_gradient(model, name="c")
