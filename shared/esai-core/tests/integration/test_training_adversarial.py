"""A generator against a discriminator: what it gains, and that it resumes like any training."""

from __future__ import annotations

import numpy as np
import pytest

from esai_core import nn
from esai_core.errors import UsageError
from esai_core.nn._keras import keras
from esai_core.training import Adversary, TrainConfig, fit, predict

RNG = np.random.default_rng(11)
B = RNG.normal(size=(48, 6, 7, 1)).astype("f4")
NOISE = RNG.normal(size=(48, 6, 7, 1)).astype("f4")
# The truth has detail that the inputs do not determine: a model of least squares must blur it away.
Y = (B + np.sign(RNG.normal(size=B.shape))).astype("f4")
DATA = ({"fields": np.concatenate([B, NOISE], -1), "baseline": B}, Y)
MSE = nn.make_loss("mse")
CONFIG = TrainConfig(epochs=2, batch_size=12, seed=3, learning_rate=1e-3, clip_norm=1.0)


def build():
    return nn.build("convnet", fields=(6, 7, 2), width=8, depth=1)


def judge():
    return nn.discriminator(sample=(6, 7, 1), given={"baseline": (6, 7, 1)}, width=8, depth=2)


def columns(history):
    return {name: history.column(name)[1:] for name in ("loss", "pixel_loss", "discriminator_loss")}


def test_discriminator_judges_patches():
    model = nn.discriminator(
        sample=(13, 17, 2), given={"baseline": (13, 17, 1)}, condition=3, static=np.ones((13, 17, 1))
    )
    inputs = {t.name: RNG.normal(size=(2, *t.shape[1:])).astype("f4") for t in model.inputs}
    assert model(inputs).shape == (2, 7, 9, 1)
    with pytest.raises(UsageError, match="rows and columns"):
        nn.discriminator(sample=(13, 17, 1), given={"fields": (4, 5, 1)})


def test_losses_are_those_of_the_formulas(tmp_path):
    """One step with both learning rates next to zero, against NumPy on the models' own outputs."""
    model, against = build(), judge()
    config = CONFIG.model_copy(
        update={"epochs": 1, "batch_size": 48, "learning_rate": 1e-12, "clip_norm": None}
    )
    adversary = Adversary(discriminator=against, weight=0.3, learning_rate=1e-12)
    row = fit(model, DATA, loss=MSE, config=config, folder=tmp_path, adversary=adversary).rows[1]

    def softplus(logits):
        return np.logaddexp(0, np.asarray(logits, "f8"))

    real, fake = (against({"sample": x, "baseline": B}).numpy() for x in (Y, B))
    pixel = np.mean((Y - B) ** 2)
    assert row["pixel_loss"] == pytest.approx(pixel, rel=1e-5)
    assert row["discriminator_loss"] == pytest.approx((softplus(-real) + softplus(fake)).mean(), rel=1e-4)
    assert row["loss"] == pytest.approx(pixel + 0.3 * softplus(-fake).mean(), rel=1e-4)


def test_discriminator_learns_and_the_generator_gains_spread(tmp_path):
    config = CONFIG.model_copy(update={"epochs": 25, "learning_rate": 3e-3})
    plain = fit(build, DATA, loss=MSE, config=config, folder=tmp_path / "plain")
    adversary = Adversary(discriminator=judge, weight=1.0, learning_rate=3e-3)
    opposed = fit(build, DATA, loss=MSE, config=config, folder=tmp_path / "opposed", adversary=adversary)
    assert columns(opposed)["discriminator_loss"][5] < 2 * np.log(2) - 0.02
    detail = [np.std(predict(h.model, DATA[0]) - B) for h in (plain, opposed)]
    assert detail[1] > 1.5 * detail[0]


def test_resumed_run_is_the_uninterrupted_one(tmp_path):
    adversary = Adversary(discriminator=judge, weight=0.1)
    config = CONFIG.model_copy(update={"epochs": 3, "ema": 0.9})
    whole = fit(build, DATA, loss=MSE, config=config, folder=tmp_path / "whole", adversary=adversary)
    fit(
        build,
        DATA,
        loss=MSE,
        config=config.model_copy(update={"epochs": 1}),
        folder=tmp_path / "cut",
        adversary=adversary,
    )
    resumed = fit(
        build, DATA, loss=MSE, config=config, folder=tmp_path / "cut", adversary=adversary, resume=True
    )
    assert columns(resumed) == columns(whole)
    for ours, theirs in zip(resumed.model.get_weights(), whole.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert whole.best_epoch is None


def test_members_are_judged_one_by_one_and_missing_ones_are_left_out(tmp_path):
    members = np.stack([B, B + 1, np.full_like(B, np.nan)], axis=1)
    fields = np.concatenate([members, members], -1)
    data = ({"fields": fields, "baseline": members}, Y)
    adversary = Adversary(discriminator=judge, weight=0.1, learning_rate=1e-12)
    config = CONFIG.model_copy(update={"epochs": 1, "batch_size": 48, "learning_rate": 1e-12})
    against = judge()
    adversary = Adversary(discriminator=against, weight=0.1, learning_rate=1e-12)
    row = fit(
        lambda: nn.over_members(build(), members=3), data, loss=nn.make_loss("crps_fair"), config=config,
        folder=tmp_path, adversary=adversary,
    ).rows[1]  # fmt: skip
    expected = []
    for base in (B, B + 1):
        real, fake = (against({"sample": x, "baseline": base}).numpy().astype("f8") for x in (Y, base))
        expected.append((np.logaddexp(0, -real) + np.logaddexp(0, fake)).mean())
    assert row["discriminator_loss"] == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"patience": 3}, "patience = 3"), ({"accumulate_steps": 2}, "accumulate_steps = 2")],
)
def test_options_without_a_meaning_are_refused(tmp_path, options, message):
    config = CONFIG.model_copy(update=options)
    with pytest.raises(UsageError, match=message):
        fit(
            build,
            DATA,
            DATA,
            loss=MSE,
            config=config,
            folder=tmp_path,
            adversary=Adversary(discriminator=judge),
        )


def test_discriminator_of_unknown_inputs_is_refused(tmp_path):
    other = keras.Model({"x": (x := keras.Input((6, 7, 1), name="x"))}, x)
    with pytest.raises(UsageError, match="give it 'sample' and any of baseline, fields"):
        fit(build, DATA, loss=MSE, config=CONFIG, folder=tmp_path, adversary=Adversary(discriminator=other))
