"""The training loop on small problems: what it reaches, how it resumes, what it says when it fails."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from esai_core import nn
from esai_core.errors import EsaiError, UsageError
from esai_core.nn._keras import keras
from esai_core.training import Arrays, Interrupted, TrainConfig, fit, predict, predict_batches, scope

RNG = np.random.default_rng(4)
X = RNG.normal(size=(50, 6, 7, 2)).astype("f4")
B = RNG.normal(size=(50, 6, 7, 1)).astype("f4")
Y = B + 0.5 * X[..., :1] - 0.3 * X[..., 1:]
DATA = ({"fields": X, "baseline": B}, Y)
HELD = ({"fields": X[:13], "baseline": B[:13]}, Y[:13])
MSE = nn.make_loss("mse")


def build(**options):
    return nn.build("resnet", fields=(6, 7, 2), width=4, depth=1, **options)


def linear():
    """A model of three weights whose loss is a known quadratic."""
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))


LX = RNG.normal(size=(64, 3)).astype("f4")
LY = LX @ np.array([[1.0], [-2.0], [0.5]], "f4")


def losses(history):
    return [row["loss"] for row in history.rows[1:]], [row["val_loss"] for row in history.rows]


def test_untrained_row_is_the_baseline_and_training_lowers_the_loss(tmp_path):
    config = TrainConfig(epochs=8, batch_size=8, learning_rate=1e-2)
    history = fit(
        build, DATA, HELD, loss=MSE, config=config, folder=tmp_path, metrics={"mae": nn.make_loss("mae")}
    )
    assert history.rows[0]["val_loss"] == pytest.approx(float(np.mean((B - Y)[:13] ** 2)), rel=1e-5)
    assert history.rows[0]["val_mae"] == pytest.approx(float(np.mean(np.abs(B - Y)[:13])), rel=1e-5)
    assert history.rows[-1]["val_loss"] < 0.3 * history.rows[0]["val_loss"]
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,step,loss,val_loss,val_mae,lr,seconds"
    assert len(lines) == 10
    assert lines[-1].startswith("8,56,")
    best = predict(history.model, HELD[0], batch_size=5)
    assert float(np.mean((best - HELD[1]) ** 2)) == pytest.approx(history.best["val_loss"], rel=1e-5)


def test_loop_takes_the_steps_of_keras_fit(tmp_path):
    """Full batches and plain Adam, against model.fit with the same optimizer."""
    ours, theirs = linear(), linear()
    config = TrainConfig(epochs=5, batch_size=64, learning_rate=0.1)
    history = fit(ours, (LX, LY), loss=MSE, config=config, folder=tmp_path)
    theirs.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse")
    reference = theirs.fit(LX, LY, batch_size=64, epochs=5, shuffle=False, verbose=0)
    np.testing.assert_allclose(losses(history)[0], reference.history["loss"], rtol=1e-5)
    np.testing.assert_allclose(ours.get_weights()[0], theirs.get_weights()[0], rtol=1e-5)


def test_loss_of_an_epoch_is_the_mean_over_examples_whatever_the_last_step_holds(tmp_path):
    config = TrainConfig(epochs=1, batch_size=24, learning_rate=1e-12)
    history = fit(linear(), (LX, LY), loss=MSE, config=config, folder=tmp_path)
    assert history.rows[1]["loss"] == pytest.approx(float(np.mean(LY**2)), rel=1e-5)


def test_sample_weights_count(tmp_path):
    weights = (np.arange(64) < 32) * 2.0
    config = TrainConfig(epochs=1, batch_size=64, learning_rate=1e-12)
    history = fit(linear(), (LX, LY, weights), loss=MSE, config=config, folder=tmp_path)
    assert history.rows[1]["loss"] == pytest.approx(float(np.mean(LY[:32] ** 2)), rel=1e-5)


def test_parts_of_a_batch_give_the_same_steps(tmp_path):
    runs = []
    for parts in (1, 4):
        config = TrainConfig(
            epochs=3, batch_size=8, accumulate_steps=parts, seed=1, clip_norm=0.1, weight_decay=0.01
        )
        runs.append(losses(fit(build, DATA, HELD, loss=MSE, config=config, folder=tmp_path / str(parts))))
    np.testing.assert_allclose(runs[0][0], runs[1][0], rtol=1e-5)
    np.testing.assert_allclose(runs[0][1], runs[1][1], rtol=1e-5)


def test_parts_hold_a_share_of_the_batch_and_the_rate_follows_the_schedule(tmp_path):
    rows = set()

    def loss(target, output):
        rows.add(int(output.shape[0]))
        return MSE(target, output)

    config = TrainConfig(epochs=3, batch_size=8, accumulate_steps=4, schedule="cosine", learning_rate=0.1)
    history = fit(linear(), (LX, LY), loss=loss, config=config, folder=tmp_path)
    assert rows == {2}
    cosine = 0.05 * (1 + np.cos(np.pi * np.arange(4) / 3))
    np.testing.assert_allclose(history.column("lr"), cosine, atol=1e-6)


def test_clipping_bounds_the_step(tmp_path):
    model = linear()
    start = Arrays((LX, 1e6 * LY))
    config = TrainConfig(epochs=1, batch_size=64, clip_norm=1e-9, learning_rate=0.1)
    fit(model, start, loss=MSE, config=config, folder=tmp_path)
    # Adam's step is lr * g / (|g| + 1e-7): a gradient of norm 1e-9 moves a weight by less than 1e-3.
    assert np.abs(model.get_weights()[0]).max() < 1e-3


def test_moving_average_is_what_is_validated_and_kept(tmp_path):
    config = TrainConfig(epochs=3, batch_size=64, learning_rate=0.1, ema=0.5)
    model = linear()
    history = fit(model, (LX, LY), (LX, LY), loss=MSE, config=config, folder=tmp_path)
    reference = linear()
    once = config.model_copy(update={"epochs": 1, "ema": None})
    fit(reference, (LX, LY), loss=MSE, config=once, folder=tmp_path / "reference")
    average = 0.5 * reference.get_weights()[0]  # half of the start, which is zero, and half of the first step
    assert history.rows[1]["val_loss"] == pytest.approx(float(np.mean((LX @ average - LY) ** 2)), rel=1e-4)
    kept = predict(model, LX, batch_size=64)
    assert float(np.mean((kept - LY) ** 2)) == pytest.approx(history.best["val_loss"], rel=1e-5)


def test_patience_ends_training_and_the_best_weights_come_back(tmp_path):
    noise = RNG.normal(size=Y.shape).astype("f4")
    config = TrainConfig(epochs=50, batch_size=10, learning_rate=0.05, patience=2)
    model = build()
    history = fit(model, (DATA[0], B + noise), (HELD[0], B[:13]), loss=MSE, config=config, folder=tmp_path)
    assert history.stopped
    assert history.best_epoch == 0
    assert len(history.rows) == 3
    np.testing.assert_array_equal(predict(model, HELD[0]), B[:13])


class Killed:
    """A source that sends this process SIGTERM when it reads for the n-th time."""

    def __init__(self, reads):
        self.reads = reads
        self.inner = Arrays(DATA)

    def __len__(self):
        return len(self.inner)

    def order(self, epoch, seed):
        return self.inner.order(epoch, seed)

    def read(self, numbers):
        self.reads -= 1
        if self.reads == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return self.inner.read(numbers)


@pytest.mark.parametrize("every", [None, 3])
def test_interrupted_and_resumed_run_is_the_uninterrupted_one_to_the_bit(tmp_path, every):
    config = TrainConfig(
        epochs=4,
        batch_size=8,
        seed=7,
        ema=0.9,
        clip_norm=1.0,
        schedule="cosine",
        warmup_steps=3,
        weight_decay=1e-3,
        checkpoint_every=every,
    )

    def noisy():
        return build(dropout=0.3, norm="batch")

    whole = fit(noisy, DATA, HELD, loss=MSE, config=config, folder=tmp_path / "whole")
    with pytest.raises(Interrupted, match="SIGTERM at step"):
        fit(noisy, Killed(12), HELD, loss=MSE, config=config, folder=tmp_path / "cut")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    resumed = fit(noisy, DATA, HELD, loss=MSE, config=config, folder=tmp_path / "cut", resume=True)
    assert losses(resumed) == losses(whole)
    assert resumed.best_epoch == whole.best_epoch
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = fit(noisy, DATA, HELD, loss=MSE, config=config, folder=tmp_path / "cut", resume=True)
    assert losses(again) == losses(whole)


def test_checkpoint_of_another_run_is_refused(tmp_path):
    config = TrainConfig(epochs=1, batch_size=32)
    fit(linear(), (LX, LY), loss=MSE, config=config, folder=tmp_path)
    other = config.model_copy(update={"batch_size": 16})
    with pytest.raises(UsageError, match="batch_size = 32 then, 16 now"):
        fit(linear(), (LX, LY), loss=MSE, config=other, folder=tmp_path, resume=True)
    with pytest.raises(UsageError, match="64 examples then, 50 now"):
        fit(linear(), (LX[:50], LY[:50]), loss=MSE, config=config, folder=tmp_path, resume=True)
    longer = config.model_copy(update={"epochs": 3})
    history = fit(linear(), (LX, LY), loss=MSE, config=longer, folder=tmp_path, resume=True)
    assert [row["epoch"] for row in history.rows] == [0, 1, 2, 3]


def test_loss_that_is_not_finite_names_epoch_and_step(tmp_path):
    x = LX.copy()
    x[5, 0] = np.nan
    config = TrainConfig(epochs=2, batch_size=16, seed=2)
    with pytest.raises(EsaiError, match=r"became nan \(epoch 1, step [1-4]\); look for missing"):
        fit(linear(), (x, LY), loss=MSE, config=config, folder=tmp_path)
    with pytest.raises(EsaiError, match=r"validation loss is nan \(epoch 0\)"):
        fit(linear(), (LX, LY), (x, LY), loss=MSE, config=config, folder=tmp_path)


def test_patience_without_validation_is_refused(tmp_path):
    with pytest.raises(UsageError, match="needs validation"):
        fit(linear(), (LX, LY), loss=MSE, config=TrainConfig(patience=3), folder=tmp_path)


def test_mixed_precision_keeps_weights_in_float32(tmp_path):
    config = TrainConfig(epochs=2, batch_size=25, mixed_precision=True, learning_rate=1e-2)
    history = fit(build, DATA, HELD, loss=MSE, config=config, folder=tmp_path)
    assert {weight.dtype for weight in history.model.weights} == {"float32"}
    assert "bfloat16" in {layer.compute_dtype for layer in history.model.layers}
    assert history.rows[-1]["val_loss"] < history.rows[0]["val_loss"]
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(UsageError, match=r"training\.scope"):
        fit(build(), DATA, loss=MSE, config=config, folder=tmp_path)


def test_scope_seeds_the_weights():
    first, second = [], []
    for into in (first, second):
        with scope(TrainConfig(seed=9)):
            into += build().get_weights()
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_ensemble_with_missing_members_trains(tmp_path):
    x = RNG.normal(size=(12, 5, 6, 7, 2)).astype("f4")
    x[3, 3:] = np.nan
    y = np.nanmean(x[..., :1], axis=1) + 1
    base = np.where(np.isnan(x[..., :1]), 0, x[..., :1]).astype("f4")
    config = TrainConfig(epochs=3, batch_size=4, learning_rate=1e-2)
    data = ({"fields": x, "baseline": base}, y)
    history = fit(
        lambda: nn.over_members(build()),
        data,
        data,
        loss=nn.make_loss("crps_l1"),
        config=config,
        folder=tmp_path,
    )
    assert history.rows[-1]["val_loss"] < history.rows[0]["val_loss"]
    y = predict(history.model, data[0], batch_size=5)
    np.testing.assert_array_equal(np.isnan(y).all((2, 3, 4)), np.isnan(x).all((2, 3, 4)))


def test_prediction_in_batches_is_the_models_own(tmp_path):
    model = build(baseline=False)
    model.set_weights([RNG.normal(size=w.shape).astype("f4") for w in model.get_weights()])
    inputs = {"fields": X}
    expected = np.asarray(model(inputs))
    for size in (1, 7, 50, 64):
        np.testing.assert_allclose(predict(model, inputs, batch_size=size), expected, rtol=1e-4, atol=1e-5)
    parts = list(predict_batches(model, ({"fields": X[i : i + 20]} for i in range(0, 50, 20))))
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-4, atol=1e-5)
    before = predict(model, inputs)
    model.set_weights([2 * w for w in model.get_weights()])
    assert (predict(model, inputs) != before).any()
