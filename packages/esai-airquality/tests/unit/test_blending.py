from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from esai_airquality.mos.blending import blend, convex_weights


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), number=st.integers(1, 6))
def test_weights_are_those_of_a_general_optimiser(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.normal(20, 5, 300)
    members = truth[:, None] + rng.normal(
        rng.normal(0, 2, number), rng.uniform(0.5, 6, number), (300, number)
    )
    found = convex_weights(members, truth)

    def cost(w: np.ndarray) -> float:
        return float(np.mean((members @ w - truth) ** 2))

    peer = minimize(
        cost,
        np.full(number, 1 / number),
        method="SLSQP",
        bounds=[(0, 1)] * number,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    )
    assert np.isclose(found.sum(), 1)
    assert (found >= 0).all()
    assert cost(found) <= peer.fun * (1 + 1e-6)


def test_equal_members_are_no_trouble() -> None:
    truth = np.arange(50.0)
    members = np.stack([truth + 1, truth + 1, truth - 1], axis=1)
    assert np.allclose(members @ convex_weights(members, truth), truth)


def test_a_missing_member_leaves_its_weight_to_the_others() -> None:
    one, two = np.array([1.0, np.nan, np.nan]), np.array([3.0, 3.0, np.nan])
    found = blend([one, two], np.array([0.5, 0.5]))
    assert found[:2].tolist() == [2.0, 3.0]
    assert np.isnan(found[2])


def test_many_members_are_refused() -> None:
    with pytest.raises(ValueError, match="ten at most"):
        convex_weights(np.zeros((3, 11)), np.zeros(3))
