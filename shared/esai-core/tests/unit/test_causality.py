"""Causal discovery against tigramite, closed forms and systems whose graph is known."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from esai_core.causality import Links, kernel_independence, partial_correlation, pcmci, surrogate_rate
from esai_core.errors import InputError, UsageError

NAMES = list("abcd")
TRUTH = {("a", 1, "b"), ("b", 2, "c"), ("c", 1, "d")}


def chain(seed, n=300, *, strength=0.4, bend=lambda x: x):
    """An autocorrelated chain a -> b -> c -> d, of which only neighbours are linked."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n + 50, 4))
    for t in range(2, n + 50):
        x[t] = 0.7 * x[t - 1] + rng.normal(size=4)
        x[t, 1] += strength * bend(x[t - 1, 0])
        x[t, 2] += strength * bend(x[t - 2, 1])
        x[t, 3] -= strength * bend(x[t - 1, 2])
    return pd.DataFrame(x[50:], columns=NAMES)


def test_partial_correlation_is_that_of_the_precision_matrix():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 4))
    r, _ = partial_correlation(x[:, 0], x[:, 1], x[:, 2:])
    inverse = np.linalg.inv(np.cov(x.T))
    np.testing.assert_allclose(r, -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1]))
    plain, q = partial_correlation(x[:, 0], x[:, 1], np.empty((200, 0)))
    np.testing.assert_allclose((plain, q), stats.pearsonr(x[:, 0], x[:, 1]))
    assert partial_correlation(x[:, 0], x[:, 2], x[:, 2:]) == (0.0, 1.0)


def test_linear_links_are_those_of_tigramite():
    tigramite = pytest.importorskip("tigramite", reason="the oracle (GPL-3) is not installed")
    assert tigramite
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tigramite import data_processing
        from tigramite.independence_tests.parcorr import ParCorr
        from tigramite.pcmci import PCMCI

        for seed in range(3):
            data = chain(seed)
            peer = PCMCI(data_processing.DataFrame(data.to_numpy()), ParCorr(), verbosity=0)
            peer = peer.run_pcmci(tau_min=1, tau_max=3, pc_alpha=0.2)
            ours = pcmci(data, longest=3)
            np.testing.assert_allclose(ours.p, peer["p_matrix"][..., 1:], atol=1e-10)
            np.testing.assert_allclose(ours.statistic, peer["val_matrix"][..., 1:], atol=1e-10)


def test_a_chain_is_found_and_false_links_keep_their_level():
    scores = [pcmci(chain(seed), longest=3).compare(TRUTH, q=0.05) for seed in range(20)]
    plain = [pcmci(chain(seed), longest=3).compare(TRUTH, p=0.05) for seed in range(20)]
    assert np.mean([one["f1"] for one in scores]) > 0.95
    assert 0.02 < np.mean([one["false_positive_rate"] for one in plain]) < 0.08
    crossed = np.corrcoef(chain(0)["a"][:-3], chain(0)["c"][3:])[0, 1]
    assert abs(crossed) > 0.1  # what plain correlation would have called a link


def test_a_target_in_another_order_has_no_causes():
    data = chain(3, strength=0.8)
    years = np.arange(len(data)) // 12
    false = surrogate_rate(data, target="b", blocks=years, longest=2, count=20)
    assert false["false_positive_rate"] < 0.1  # 20 x 6 links
    assert pcmci(data, longest=2).found(target="b")[0] in {("a", 1, "b"), ("b", 1, "b")}
    # Rows that stay in their place keep their causes: it is the order that takes them away.
    kept = surrogate_rate(data, target="b", blocks=np.repeat([0, 1], [len(data) - 1, 1]), longest=2, count=4)
    assert kept["runs_with_links"] > 0.4


def test_targets_and_rows():
    links = pcmci(chain(1), longest=2, targets=["d"])
    assert {into for _, _, into in links.found()} == {"d"}
    assert links.rows(target="d")[0].keys() == {
        "driver", "lag", "target", "strength", "p", "false discovery rate",
    }  # fmt: skip
    assert ("c", 1, "d") in links.found()
    with pytest.raises(UsageError, match="series 'e'"):
        links.found(target="e")


def test_scores_of_a_graph():
    p = np.ones((2, 2, 1))
    p[0, 1, 0] = p[0, 0, 0] = 0.0
    links = Links(("a", "b"), np.zeros_like(p), p, p)
    perfect = links.compare({("a", 1, "b"), ("a", 1, "a")}, q=0.05)
    assert perfect == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "false_positive_rate": 0.0}
    assert links.compare({("b", 1, "a")}, q=0.05)["false_positive_rate"] == 1.0


def test_kernel_test_has_its_level_and_sees_what_correlation_does_not():
    rng = np.random.default_rng(3)
    level, power, linear = [], [], []
    for _ in range(60):
        z = rng.normal(size=(120, 1))
        x, noise = np.sin(2 * z[:, 0]) + 0.5 * rng.normal(size=120), rng.normal(size=120)
        level.append(kernel_independence(x, z[:, 0] ** 2 + 0.5 * noise, z)[1])
        bent = z[:, 0] + (x - np.sin(2 * z[:, 0])) ** 2 * 4 + 0.3 * noise
        power.append(kernel_independence(x, bent, z)[1])
        linear.append(partial_correlation(x, bent, z)[1])
    assert np.mean(np.array(level) < 0.1) < 0.2
    assert np.mean(np.array(power) < 0.05) > 0.9
    assert np.mean(np.array(linear) < 0.05) < 0.4


def test_kernel_statistic_without_conditions_is_hsic():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 40))

    def kernel(v):
        v = (v - v.mean()) / v.std()
        distance = (v[:, None] - v[None]) ** 2
        return np.exp(-distance / np.median(distance[np.triu_indices(40, 1)]))

    h = np.eye(40) - 1 / 40
    k, other = h @ kernel(x) @ h, h @ kernel(y) @ h
    expected = np.trace(k @ other) / np.sqrt(np.trace(k @ k) * np.trace(other @ other))
    np.testing.assert_allclose(kernel_independence(x, y, np.empty((40, 0)))[0], expected)


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda d: d, {"longest": 0}, "longest = 0"),
        (lambda d: d, {"longest": 2, "test": "liner"}, "did you mean 'linear'"),
        (lambda d: d.where(d < d.max()), {"longest": 2}, "missing values"),
        (lambda d: d.assign(c=1.0), {"longest": 2}, "never changes"),
        (lambda d: d[:12], {"longest": 2}, "12 times"),
        (lambda d: d.to_numpy(), {"longest": 2}, "0 names"),
    ],
)
def test_pcmci_refuses(change, options, words):
    with pytest.raises((UsageError, InputError), match=words):
        pcmci(change(chain(0, 60)), **options)
