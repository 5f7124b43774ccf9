"""Partial convolutions against plain ones and a loop over places."""

from __future__ import annotations

import numpy as np
import pytest

from esai_core import nn
from esai_core.errors import UsageError
from esai_core.nn._keras import keras


def values(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def test_partial_convolution_is_its_equation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 7, 3)).astype("f4")
    m = (rng.random((2, 6, 7, 3)) > 0.5).astype("f4")
    m[0, :3, :3] = 0
    layer = nn.PartialConv(4)
    y, valid = (values(part) for part in layer([x, m]))
    weight, bias = layer.get_weights()
    padded, mask = (np.pad(a, [(0, 0), (1, 1), (1, 1), (0, 0)]) for a in (x * m, m))
    for n, i, j in np.ndindex(2, 6, 7):
        window, there = padded[n, i : i + 3, j : j + 3], mask[n, i : i + 3, j : j + 3].sum()
        expected = np.tensordot(window, weight, 3) * 27 / there + bias if there else np.zeros(4)
        np.testing.assert_allclose(y[n, i, j], expected, atol=2e-4)
        assert valid[n, i, j, 0] == (there > 0)
    assert not valid[0, 1, 1, 0]


def test_hidden_values_change_nothing_and_full_masks_give_the_plain_convolution():
    rng = np.random.default_rng(1)
    x, m = rng.normal(size=(1, 8, 8, 2)).astype("f4"), (rng.random((1, 8, 8, 1)) > 0.4).astype("f4")
    layer = nn.PartialConv(3)
    np.testing.assert_array_equal(values(layer([x, m])[0]), values(layer([x + 99 * (1 - m), m])[0]))
    plain = keras.ops.conv(x, layer.weight, padding="valid")
    np.testing.assert_allclose(values(layer([x, 1 + 0 * m])[0])[:, 1:-1, 1:-1], values(plain), atol=1e-5)
    with pytest.raises(UsageError, match="pairs of fields and masks"):
        nn.PartialConv(3)([x, m, x])


def test_the_network_starts_at_its_baseline_keeps_odd_sizes_and_is_saved(tmp_path):
    rng = np.random.default_rng(2)
    model = nn.gap_unet((None, None, 4), width=4, depth=2)
    inputs = {
        "values": rng.normal(size=(2, 9, 13, 4)).astype("f4"),
        "mask": (rng.random((2, 9, 13, 4)) > 0.5).astype("f4"),
        "baseline": rng.normal(size=(2, 9, 13, 1)).astype("f4"),
    }
    np.testing.assert_array_equal(values(model(inputs)), inputs["baseline"])
    model.get_layer("head").kernel.assign(rng.normal(size=(1, 1, 4, 1)))
    nn.save(model, tmp_path / "m.keras")
    np.testing.assert_allclose(
        values(nn.load(tmp_path / "m.keras")(inputs)), values(model(inputs)), atol=1e-5
    )
    with pytest.raises(UsageError, match="odd kernels"):
        nn.gap_unet((8, 8, 1), kernel=2)
