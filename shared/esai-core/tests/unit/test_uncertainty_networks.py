"""Samples of a network with Monte Carlo dropout, made into intervals that cover."""

from __future__ import annotations

import numpy as np

from esai_core import nn
from esai_core.nn._keras import keras
from esai_core.training import predict
from esai_core.uncertainty import ConformalQuantiles, ensemble_interval, interval_scores


def test_dropout_samples_undercover_until_they_are_calibrated():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4, 4, 3)).astype("f4")
    y = x[..., :1] + 0.5 * x[..., 1:2] + 0.7 * rng.normal(size=(600, 4, 4, 1)).astype("f4")
    keras.utils.set_random_seed(0)
    model = nn.build(
        "convnet", fields=(4, 4, 3), width=16, depth=2, baseline=False, dropout=0.1, monte_carlo=True
    )
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit({"fields": x[:200]}, y[:200], epochs=8, batch_size=32, verbose=0)
    samples = np.stack([predict(model, {"fields": x[200:]}, batch_size=100) for _ in range(20)])
    assert samples.std(0).min() > 0
    low, high = ensemble_interval(samples, coverage=0.9)
    truth = y[200:]
    assert interval_scores(truth[200:], low[200:], high[200:])["coverage"] < 0.7
    ends = ConformalQuantiles(coverage=0.9, pooled=True).fit(truth[:200], low[:200], high[:200])
    ends = ends.interval(low[200:], high[200:])
    assert 0.88 <= interval_scores(truth[200:], *ends)["coverage"] <= 0.92
