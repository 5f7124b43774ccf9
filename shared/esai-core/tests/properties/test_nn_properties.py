"""What holds for the losses whatever the numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esai_core.nn import make_loss
from esai_core.nn._keras import keras
from esai_core.nn.layers import node_matrix

VALUES = st.floats(-50, 50, width=32)


def values(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@settings(max_examples=25, deadline=None)
@given(
    arrays("f4", (6, 3, 4), elements=VALUES), arrays("f4", (3, 4), elements=VALUES), st.permutations(range(6))
)
def test_crps_knows_no_order_of_members_and_moves_with_the_truth(members, truth, order):
    loss = make_loss("crps_fair")
    y, x = truth[None, ..., None], members[None, ..., None]
    score = values(loss(y, x))
    np.testing.assert_allclose(values(loss(y, x[:, order])), score, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(values(loss(y + 8, x + 8)), score, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(values(loss(2 * y, 2 * x)), 2 * score, rtol=1e-3, atol=1e-3)
    assert values(make_loss("crps")(y, x)) >= -1e-4


@settings(max_examples=25, deadline=None)
@given(arrays("f4", (4, 3, 2), elements=VALUES), st.integers(1, 3))
def test_missing_members_are_as_if_they_were_not_there(members, missing):
    y, x = np.zeros((1, 3, 2, 1), "f4"), members[None, ..., None]
    padded = np.concatenate([x, np.full((1, missing, 3, 2, 1), np.nan, "f4")], axis=1)
    loss = make_loss("crps_l1")
    np.testing.assert_allclose(values(loss(y, padded)), values(loss(y, x)), rtol=1e-4, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(arrays("f4", (2, 3, 4, 1), elements=VALUES), st.floats(0.1, 10))
def test_weights_count_by_their_ratios_alone(x, scale):
    weights = np.linspace(1, 2, 3)[:, None] * np.ones(4)
    y = np.ones_like(x)
    one, other = (values(make_loss("mse", weights=w)(y, x)) for w in (weights, scale * weights))
    np.testing.assert_allclose(one, other, rtol=1e-4)
    np.testing.assert_allclose(one, [np.average((e - 1)[..., 0] ** 2, weights=weights) for e in x], rtol=1e-3)


@given(st.integers(1, 20), st.integers(1, 8))
def test_node_weights_sum_to_one_and_keep_the_nodes(nodes, factor):
    matrix = node_matrix(nodes, factor)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(matrix[::factor], np.eye(nodes))
