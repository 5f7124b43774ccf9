"""Layers and blocks against NumPy, closed forms and Keras's own; every backend."""

from __future__ import annotations

import numpy as np
import pytest

from esai_core.errors import UsageError
from esai_core.nn import layers
from esai_core.nn._keras import keras
from esai_core.nn.recurrent import ConvLSTM


def values(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.mark.parametrize(
    ("mode", "numpy_mode"), [("edge", "edge"), ("reflect", "reflect"), ("zero", "constant")]
)
@pytest.mark.parametrize("size", [0, 1, 3])
def test_pad_is_numpy_pad(rng, mode, numpy_mode, size):
    x = rng.normal(size=(2, 5, 7, 3)).astype("f4")
    expected = np.pad(x, [(0, 0), (size, size), (size, size), (0, 0)], mode=numpy_mode)
    np.testing.assert_array_equal(values(layers.pad(x, size, mode)), expected)
    assert tuple(layers.Pad(size, mode).compute_output_shape(x.shape)) == expected.shape


def test_pad_edge_works_on_a_single_row():
    assert values(layers.pad(np.ones((1, 1, 1, 1), "f4"), 2, "edge")).shape == (1, 5, 5, 1)


def test_pad_refuses_to_mirror_a_small_grid():
    with pytest.raises(UsageError, match="use padding edge"):
        layers.pad(np.ones((1, 2, 9, 1), "f4"), 2, "reflect")


def test_unknown_padding_names_a_near_match():
    with pytest.raises(UsageError, match="did you mean 'reflect'"):
        layers.Pad(1, "reflct")


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_node_upsampling_is_linear_interpolation(rng, factor):
    x = rng.normal(size=(1, 4, 5, 1)).astype("f4")
    y = values(layers.NodeUpsample(factor)(x))[0, ..., 0]
    fine = [np.arange((n - 1) * factor + 1) / factor for n in (4, 5)]
    rows = np.stack([np.interp(fine[1], np.arange(5), row) for row in x[0, ..., 0]])
    expected = np.stack([np.interp(fine[0], np.arange(4), column) for column in rows.T], axis=1)
    np.testing.assert_allclose(y, expected, atol=1e-6)
    np.testing.assert_allclose(y[::factor, ::factor], x[0, ..., 0], atol=1e-6)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_node_crop_centres_each_block_on_its_node(factor):
    blocks = np.repeat(np.repeat(np.arange(4.0)[:, None], factor, 0), 5 * factor, 1)[None, ..., None].astype(
        "f4"
    )
    y = values(layers.NodeCrop(factor)(blocks))[0, :, 0, 0]
    assert len(y) == 3 * factor + 1
    np.testing.assert_array_equal(y[::factor], np.arange(4))


def test_pixel_shuffle_spreads_the_channels(rng):
    x = rng.normal(size=(2, 3, 4, 8)).astype("f4")
    y = values(layers.PixelShuffle(2)(x))
    assert y.shape == (2, 6, 8, 2)
    np.testing.assert_array_equal(y[:, ::2, 1::2], x[..., 2:4])
    np.testing.assert_array_equal(y[:, 1::2, ::2], x[..., 4:6])


def test_film_starts_as_the_identity_and_then_modulates(rng):
    x, v = rng.normal(size=(2, 3, 4, 5)).astype("f4"), rng.normal(size=(2, 3)).astype("f4")
    layer = layers.FiLM()
    np.testing.assert_array_equal(values(layer([x, v])), x)
    kernel = rng.normal(size=(3, 10)).astype("f4")
    layer.kernel.assign(kernel)
    scale, shift = np.split(v @ kernel, 2, axis=1)
    np.testing.assert_allclose(
        values(layer([x, v])), x * (1 + scale[:, None, None]) + shift[:, None, None], rtol=1e-5, atol=1e-5
    )


def test_localised_has_weights_of_its_own_in_every_pixel(rng):
    x = rng.normal(size=(2, 3, 4, 5)).astype("f4")
    layer = layers.Localised(2, zero=False)
    y = values(layer(x))
    kernel = np.asarray(layer.get_weights()[0])
    np.testing.assert_allclose(y[1, 2, 3], x[1, 2, 3] @ kernel[2, 3], rtol=1e-4, atol=1e-5)
    assert not values(layers.Localised(2)(x)).any()


def test_localised_needs_a_fixed_grid():
    with pytest.raises(UsageError, match="fixed grid"):
        layers.Localised(2)(keras.Input((None, None, 3)))


def test_constant_appends_its_fields_and_refuses_missing_values(rng):
    fields = rng.normal(size=(3, 4, 2)).astype("f4")
    layer = layers.Constant(fields.shape)
    layer.build((None, 3, 4, 1))
    layer.set_fields(fields)
    y = values(layer(np.zeros((5, 3, 4, 1), "f4")))
    np.testing.assert_array_equal(y[4, ..., 1:], fields)
    with pytest.raises(UsageError, match="1 missing"):
        layer.set_fields(np.where(np.arange(24).reshape(3, 4, 2) == 5, np.nan, fields))
    with pytest.raises(UsageError, match=r"\(3, 4\)"):
        layers.Constant((3, 4, 2))(keras.Input((3, 5, 1)))


def test_conv_lstm_is_that_of_keras_where_the_border_is_zero(rng):
    x = rng.normal(size=(2, 4, 5, 6, 3)).astype("f4")
    ours, theirs = ConvLSTM(4, padding="zero"), keras.layers.ConvLSTM2D(4, 3, padding="same")
    ours(x)
    theirs(x)
    kernel, recurrent, bias = (np.asarray(w) for w in theirs.get_weights())
    bias = rng.normal(size=bias.shape).astype("f4")
    theirs.set_weights([kernel, recurrent, bias])
    ours.set_weights([np.concatenate([kernel, recurrent], axis=2), bias])
    expected = values(theirs(x))  # Keras 3: sigmoid gates in the order input, forget, cell, output
    np.testing.assert_allclose(values(ours(x)), expected, atol=1e-5)


def test_monte_carlo_dropout_samples_in_prediction():
    layer = layers.MonteCarloDropout(0.5, seed=1)
    x = np.ones((1, 2, 2, 64), "f4")
    assert (values(layer(x, training=False)) != values(layer(x, training=False))).any()
