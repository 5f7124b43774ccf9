"""Constraint layers against the NumPy room, saved and trained through."""

from __future__ import annotations

import numpy as np
import pytest

from esai_core import nn
from esai_core.errors import UsageError
from esai_core.grid import Grid
from esai_core.nn._keras import keras
from esai_core.physics import MeanConstraint


def values(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def constraint(kind="node"):
    n = (9, 13) if kind == "node" else (8, 12)
    grid = Grid(50 + 0.25 * np.arange(n[0]), 0.25 * np.arange(n[1]))
    return MeanConstraint.of(grid, factor=4, kind=kind)


@pytest.mark.parametrize("kind", ["node", "cell"])
@pytest.mark.parametrize("method", ["additive", "multiplicative"])
def test_the_layer_is_the_numpy_room_and_keeps_the_mean(kind, method):
    rng, one = np.random.default_rng(0), constraint(kind)
    offset = 280.0 if method == "additive" else 0.1
    y = np.abs(offset + rng.normal(size=(4, *one.fine_shape))) + 0.01
    c = np.abs(offset + rng.normal(size=(4, *one.coarse_shape))) + 0.01
    layer = nn.ConserveMean.of(one, method)
    made = values(layer([y[..., None].astype("f4"), c[..., None].astype("f4")]))[..., 0]
    np.testing.assert_allclose(made, getattr(one, method)(y, c), rtol=2e-5)
    np.testing.assert_allclose(one.mean(made.astype("f8")), c, rtol=1e-5)
    if method == "multiplicative":
        assert made.min() >= 0


def test_a_constrained_network_is_saved_and_learns_through_the_layer(tmp_path):
    rng, one = np.random.default_rng(1), constraint("cell")
    fine, coarse = keras.Input((8, 12, 1)), keras.Input((2, 3, 1))
    y = keras.layers.Conv2D(1, 3, padding="same", name="map")(fine)
    model = keras.Model([fine, coarse], nn.ConserveMean.of(one)([y, coarse]))
    x, c = rng.normal(size=(64, 8, 12, 1)).astype("f4"), rng.normal(size=(64, 2, 3, 1)).astype("f4")
    truth = one.additive(x[..., 0], c[..., 0])[..., None]
    model.compile("adam", "mse")
    before = model.evaluate([x, c], truth, verbose=0)
    model.optimizer.learning_rate = 0.05
    model.fit([x, c], truth, epochs=25, verbose=0)
    assert model.evaluate([x, c], truth, verbose=0) < 0.05 * before
    nn.save(model, tmp_path / "model.keras")
    again = nn.load(tmp_path / "model.keras")
    np.testing.assert_allclose(values(again([x, c])), values(model([x, c])), atol=1e-6)
    np.testing.assert_allclose(one.mean(values(again([x, c]))[..., 0].astype("f8")), c[..., 0], atol=1e-5)


def test_layers_refuse():
    with pytest.raises(UsageError, match="did you mean 'additive'"):
        nn.ConserveMean.of(constraint(), "aditive")
    with pytest.raises(UsageError, match="under a constraint between"):
        nn.ConserveMean.of(constraint())([keras.Input((8, 12, 1)), keras.Input((3, 4, 1))])
    with pytest.raises(UsageError, match="sharpness"):
        nn.NonNegative(0.0)


def test_non_negative_is_softplus():
    x = np.linspace(-20, 20, 101).astype("f4")
    found = values(nn.NonNegative(3.0)(x))
    np.testing.assert_allclose(found, np.logaddexp(0, 3.0 * x) / 3.0, rtol=1e-5, atol=1e-7)
    assert found.min() >= 0


def test_the_penalty_is_the_mean_square_of_what_the_means_miss():
    rng, one = np.random.default_rng(2), constraint()
    y, x = (rng.normal(size=(3, *one.fine_shape, 2)).astype("f4") for _ in range(2))
    loss = nn.make_loss("mse")
    found = values(nn.with_mean_penalty(loss, one, weight=2.5)(y, x))
    missed = one.mean(np.moveaxis(x - y, -1, 1).astype("f8"))
    expected = values(loss(y, x)) + 2.5 * (missed**2).mean((1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(UsageError, match="weight"):
        nn.with_mean_penalty(loss, one, weight=-1)
