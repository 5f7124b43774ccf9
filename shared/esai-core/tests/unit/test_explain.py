"""Explanations against brute force, closed forms and drivers that were put in; every family of models."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.neural_network import MLPRegressor

from esai_core import explain
from esai_core.errors import UsageError
from esai_core.explain import (
    Attribution,
    integrated_gradients,
    occlusion,
    permutation_importance,
    randomisation_check,
    shap_values,
    shapley_importance,
)

NAMES = ["decoy_a", "driver", "decoy_b", "second", "decoy_c"]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def table(rng):
    """Predictors and a target that follows `driver`, and less so `second`; decoys know nothing."""
    x = pd.DataFrame(rng.normal(size=(600, 5)), columns=NAMES)
    y = 2.0 * x["driver"] + 0.7 * x["second"] + 0.3 * rng.normal(size=600)
    return x, y.to_numpy()


def test_permutation_of_a_linear_law_is_its_closed_form(rng):
    x = rng.normal(size=(200000, 3))
    beta = np.array([1.0, -0.5, 0.0])
    found = permutation_importance(lambda z: z @ beta, x, x @ beta, names=list("abc"), repeats=3)
    np.testing.assert_allclose(found.values, 2 * beta**2, rtol=0.02, atol=1e-12)
    assert found.ranking() == ["a", "b", "c"]


def test_grouped_twins_matter_and_single_ones_hide(rng):
    shared = rng.normal(size=5000)
    x = pd.DataFrame({"one": shared, "twin": shared, "other": rng.normal(size=5000)})
    y = shared + 0.4 * x["other"].to_numpy()

    def model(z):
        return (z["one"] + z["twin"]).to_numpy() / 2 + 0.4 * z["other"].to_numpy()

    single = permutation_importance(model, x, y)
    groups = {"twins": ["one", "twin"], "other": ["other"]}
    grouped = permutation_importance(model, x, y, groups=groups)
    np.testing.assert_allclose(single.values[:2], 0.5, rtol=0.1)
    np.testing.assert_allclose(grouped.values[0], 2.0, rtol=0.1)
    with pytest.raises(UsageError, match="no predictor 'oen'"):
        permutation_importance(model, x, y, groups={"g": ["oen"]})


def test_shuffled_blocks_keep_what_is_the_same_in_each(rng):
    """A seasonal cycle that repeats every year survives the exchange of years; what differs does not."""
    month, year = np.tile(np.arange(12), 40), np.repeat(np.arange(40), 12)
    x = np.stack([np.cos(month), rng.normal(size=40)[year]], axis=1)
    found = permutation_importance(lambda z: z.sum(1), x, x.sum(1), names=["season", "year"], blocks=year)
    assert abs(found.values[0]) < 1e-12
    assert found.values[1] > 1
    with pytest.raises(UsageError, match="at least two blocks"):
        permutation_importance(lambda z: z.sum(1), x, x.sum(1), names=["a", "b"], blocks=np.zeros(480))


def test_importance_by_lead_sees_what_each_lead_uses(rng):
    lead = np.repeat([1, 2], 2000)
    x = rng.normal(size=(4000, 2))
    y = np.where(lead == 1, x[:, 0], x[:, 1])
    fields = x[:, None, None, :] * np.ones((1, 2, 3, 1))

    def model(z):
        return np.where(lead[:, None, None] == 1, z[..., 0], z[..., 1])

    found = permutation_importance(
        model, fields, y[:, None, None] * np.ones((2, 3)), names=["a", "b"], by=lead
    )
    assert list(found.by) == ["1", "2"]
    np.testing.assert_allclose(found.by["1"], [2, 0], atol=0.15)
    np.testing.assert_allclose(found.by["2"], [0, 2], atol=0.15)
    again = Attribution.from_dict(found.to_dict())
    assert again.ranking() == found.ranking()
    np.testing.assert_array_equal(again.by["2"], found.by["2"])


def _brute_shapley(value, p):
    """Shapley's formula over all coalitions."""
    phi = np.zeros(p)
    for j in range(p):
        others = [i for i in range(p) if i != j]
        for size in range(p):
            share = math.factorial(size) * math.factorial(p - size - 1) / math.factorial(p)
            for members in itertools.combinations(others, size):
                phi[j] += share * (value({*members, j}) - value(set(members)))
    return phi


def _tree_value(tree, x):
    """Expected value of a tree given some predictors, weighted by the training cases of its branches."""

    def descend(node, known):
        if tree.children_left[node] < 0:
            return tree.value[node].ravel()[0]
        left, right = tree.children_left[node], tree.children_right[node]
        if tree.feature[node] in known:
            return descend(left if x[tree.feature[node]] <= tree.threshold[node] else right, known)
        cases = tree.weighted_n_node_samples
        return (cases[left] * descend(left, known) + cases[right] * descend(right, known)) / cases[node]

    return lambda known: descend(0, known)


def test_shapley_values_of_a_forest_are_those_of_the_definition(table):
    pytest.importorskip("shap")
    x, y = table
    forest = RandomForestRegressor(4, max_depth=4, random_state=0).fit(x.to_numpy(), y)
    found = shap_values(forest, x[:3])
    for row in range(3):
        point = x.to_numpy()[row].astype("f4")
        expected = np.mean(
            [_brute_shapley(_tree_value(t.tree_, point), 5) for t in forest.estimators_], axis=0
        )
        np.testing.assert_allclose(found[row], expected, atol=1e-6)


def test_shapley_values_of_linear_models_are_those_of_the_definition_and_of_shap(table):
    shap = pytest.importorskip("shap")
    x, y = table
    model = LinearRegression().fit(x, y)
    found = shap_values(model, x[:4], background=x)
    mean = x.mean().to_numpy()
    for row in range(4):
        point = x.to_numpy()[row]

        def value(known, point=point):
            return model.intercept_ + sum(
                model.coef_[i] * (point[i] if i in known else mean[i]) for i in range(5)
            )

        np.testing.assert_allclose(found[row], _brute_shapley(value, 5), atol=1e-12)
    peer = shap.LinearExplainer(model, shap.maskers.Independent(x, max_samples=len(x)))
    np.testing.assert_allclose(found, peer.shap_values(x[:4]), atol=1e-8)


def test_shapley_values_of_boosted_trees_sum_to_the_prediction_and_are_those_of_shap(table):
    shap, xgboost = pytest.importorskip("shap"), pytest.importorskip("xgboost")
    x, y = table
    model = xgboost.XGBRegressor(n_estimators=20, max_depth=3, n_jobs=1).fit(x, y)
    found = shap_values(model, x[:50])
    margin = model.predict(x[:50])
    np.testing.assert_allclose(np.ptp(margin - found.sum(1)), 0, atol=1e-4)
    np.testing.assert_allclose(found, shap.TreeExplainer(model).shap_values(x[:50]), atol=1e-4)
    np.testing.assert_array_equal(shap_values(model.get_booster(), x[:50]), found)
    classes = xgboost.XGBClassifier(n_estimators=5, max_depth=2, n_jobs=1).fit(x, np.digitize(y, [-1, 1]))
    assert shap_values(classes, x[:7]).shape == (7, 5, 3)
    with pytest.raises(UsageError, match="permutation_importance"):
        shap_values(object(), x)


def _families():
    classes = {"logistic": LogisticRegression(), "forest classifier": RandomForestClassifier(20, max_depth=5)}
    return {
        "linear": LinearRegression(),
        "poisson": PoissonRegressor(alpha=1e-3),
        "forest": RandomForestRegressor(20, max_depth=5, random_state=0),
        "boosting": HistGradientBoostingRegressor(max_iter=30),
        "xgboost": None,
        "network": MLPRegressor(hidden_layer_sizes=(16,), max_iter=150, random_state=0, early_stopping=True),
        **classes,
    }


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("family", list(_families()))
def test_injected_drivers_rank_first_in_every_family(table, family):
    x, y = table
    model = _families()[family]
    if model is None:
        model = pytest.importorskip("xgboost").XGBRegressor(n_estimators=40, max_depth=3, n_jobs=1)
    if family in ("logistic", "forest classifier"):
        y = (y > 0).astype(float)
    if family == "poisson":
        y = np.random.default_rng(0).poisson(np.exp(0.5 * y))
    model.fit(x[:400], y[:400])
    guess = (lambda z: model.predict_proba(z)[:, 1]) if hasattr(model, "predict_proba") else model.predict
    found = permutation_importance(guess, x[400:], y[400:])
    assert found.ranking()[:2] == ["driver", "second"]
    assert (
        permutation_importance(guess, x[400:], y[400:], blocks=np.arange(200) // 10).ranking()[0] == "driver"
    )
    if family != "network":
        pytest.importorskip("shap")
        assert shapley_importance(model, x[400:], background=x[:400]).ranking()[:2] == ["driver", "second"]

    def learnt_nothing(seed):
        shuffled = np.random.default_rng(seed).permutation(y[:400])
        model.fit(x[:400], shuffled)
        return permutation_importance(guess, x[400:], y[400:], repeats=3).values

    assert randomisation_check(found.values, learnt_nothing, count=4).passed


def test_integrated_gradients_are_complete_and_exact_for_a_polynomial(rng):
    x = rng.normal(size=(20, 3))
    start = np.array([0.5, -1.0, 0.0])

    def value(z):
        return z[..., 0] ** 3 + z[..., 0] * z[..., 1] + 2 * z[..., 2]

    def slope(z):
        z = np.asarray(z, float)
        return np.stack([3 * z[..., 0] ** 2 + z[..., 1], z[..., 0], np.full(len(z), 2.0)], axis=-1)

    found = integrated_gradients(slope, x, baseline=start, steps=8)
    np.testing.assert_allclose(found.sum(1), value(x) - value(start), atol=1e-4)
    np.testing.assert_allclose(found[:, 2], 2 * x[:, 2], atol=1e-6)
    # path integral of z0 along the straight way, closed form
    expected = (x[:, 1] - start[1]) * (x[:, 0] + start[0]) / 2
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-5)


def test_occlusion_of_a_linear_map_is_its_terms(rng):
    x, weights = rng.normal(size=(4, 5, 6, 2)), rng.normal(size=(5, 6, 2))
    whole = occlusion(lambda z: (z * weights).sum((1, 2, 3)), x)
    np.testing.assert_allclose(whole, (x * weights).sum((1, 2)), atol=1e-12)
    parts = occlusion(lambda z: (z * weights).sum((1, 2, 3)), x, patch=4)
    assert parts.shape == (4, 2, 2, 2)
    np.testing.assert_allclose(parts[:, 1, 1], (x * weights)[:, 4:, 4:].sum((1, 2)), atol=1e-12)
    np.testing.assert_allclose(parts.sum((1, 2)), whole, atol=1e-12)
    with pytest.raises(UsageError, match="one number per case"):
        occlusion(lambda z: z, x)


def test_a_check_of_an_explanation_that_ignores_the_model_fails(rng):
    x = np.abs(rng.normal(size=(10, 8)))
    failed = randomisation_check(x, lambda seed: 2 * x, count=3)
    assert not failed.passed
    assert "FAILED" in str(failed)
    assert randomisation_check(x, lambda seed: np.random.default_rng(seed).normal(size=x.shape)).passed
    assert randomisation_check(x, lambda seed: x / 100).passed  # the pattern of nothing is no pattern
    with pytest.raises(UsageError, match="same shape"):
        randomisation_check(x, [x[:5]])


def test_public_names_are_there():
    assert all(hasattr(explain, name) for name in explain.__all__)
