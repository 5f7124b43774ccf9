"""Losses against scoringrules, tf.image and closed forms; every backend."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules

from esai_core.errors import UsageError
from esai_core.nn import LOSSES, make_loss
from esai_core.nn._keras import keras

RNG = np.random.default_rng(3)


def normal(*shape):
    return RNG.normal(size=shape).astype("f4")


def values(tensor):
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def gradient(loss, y, x):
    """Gradient of the sum of a loss by the prediction."""
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda p: loss(y, p).sum())(x))
    import tensorflow as tf

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(loss(y, x))
    return tape.gradient(value, x).numpy()


@pytest.mark.parametrize(("name", "estimator"), [("crps", "nrg"), ("crps_fair", "fair")])
def test_crps_is_that_of_scoringrules(name, estimator):
    y, x = normal(3, 4, 5, 2), normal(3, 7, 4, 5, 2)
    x[:, 1] = x[:, 0]  # ties
    expected = scoringrules.crps_ensemble(y.astype("f8"), x.astype("f8"), m_axis=1, estimator=estimator)
    np.testing.assert_allclose(values(make_loss(name)(y, x)), expected.mean((1, 2, 3)), rtol=1e-5)


def test_crps_of_unequal_member_counts_and_missing_truth():
    y, x = normal(2, 4, 5, 1), normal(2, 9, 4, 5, 1)
    x[1, 5:] = np.nan
    y[0, 0] = np.nan
    w = np.cos(np.deg2rad(np.linspace(0, 60, 4)))[:, None] * np.ones(5)
    got = values(make_loss("crps_fair", weights=w)(y, x))
    for i, members in enumerate((9, 5)):
        score = scoringrules.crps_ensemble(
            y[i].astype("f8"), x[i, :members].astype("f8"), m_axis=0, estimator="fair"
        )
        known = np.isfinite(score[..., 0])
        np.testing.assert_allclose(got[i], np.average(score[..., 0][known], weights=w[known]), rtol=1e-5)
    slope = gradient(make_loss("crps_fair", weights=w), y, x)
    assert np.isfinite(slope).all()
    assert not slope[1, 5:].any()
    assert not slope[0, :, 0].any()


def test_crps_gradient_is_that_of_finite_differences():
    y, x = normal(1, 2, 2, 1), normal(1, 5, 2, 2, 1)
    loss = make_loss("crps_l1", l1=0.3)
    slope = gradient(loss, y, x)
    step = 1e-2 * np.eye(x.size).reshape(-1, *x.shape[1:]).astype("f4")
    up, down = (values(loss(np.repeat(y, x.size, 0), x + sign * step)) for sign in (1, -1))
    np.testing.assert_allclose(slope.ravel(), (up - down) / 2e-2, atol=1e-3)


def test_crps_of_one_member_is_the_absolute_error():
    y, x = normal(2, 3, 3, 1), normal(2, 1, 3, 3, 1)
    np.testing.assert_allclose(
        values(make_loss("crps_fair")(y, x)), values(make_loss("mae")(y, x[:, 0])), rtol=1e-6
    )


def test_crps_l1_adds_the_error_of_the_mean():
    y, x = normal(2, 3, 3, 1), normal(2, 6, 3, 3, 1)
    expected = values(make_loss("crps_fair")(y, x)) + 0.5 * values(make_loss("mae")(y, x.mean(1)))
    np.testing.assert_allclose(values(make_loss("crps_l1")(y, x)), expected, rtol=1e-5)


def test_gaussian_scores_are_those_of_scoringrules_and_scipy():
    from scipy import stats

    y, mean, log_std = normal(2, 3, 4, 1), normal(2, 3, 4, 1), normal(2, 3, 4, 1) / 2
    x = np.concatenate([mean, log_std], -1)
    crps = scoringrules.crps_normal(y, mean, np.exp(log_std)).mean((1, 2, 3))
    np.testing.assert_allclose(values(make_loss("crps_gaussian")(y, x)), crps, rtol=1e-4)
    nll = -stats.norm.logpdf(y, mean, np.exp(log_std)).mean((1, 2, 3))
    np.testing.assert_allclose(values(make_loss("nll_gaussian")(y, x)), nll, rtol=1e-4)


def test_pointwise_errors_leave_missing_truth_out():
    y, x = normal(2, 3, 4, 1), normal(2, 3, 4, 1)
    y[0, 1] = np.nan
    y[1] = np.nan
    np.testing.assert_allclose(values(make_loss("mse")(y, x)), [np.nanmean((y - x)[0] ** 2), 0.0], rtol=1e-5)
    np.testing.assert_allclose(values(make_loss("mae")(y, x)), [np.nanmean(np.abs(y - x)[0]), 0.0], rtol=1e-5)
    assert np.isfinite(gradient(make_loss("mae"), y, x)).all()


def test_structural_similarity_is_that_of_tensorflow():
    import tensorflow as tf

    y, x = RNG.uniform(size=(2, 40, 50, 3)).astype("f4"), RNG.uniform(size=(2, 40, 50, 3)).astype("f4")
    expected = 0.5 * (1 - tf.image.ssim(y, x, 1.0).numpy())
    np.testing.assert_allclose(values(make_loss("dssim")(y, x)), expected, atol=1e-5)
    smooth = y + 0.1 * x
    powers = np.array([0.0448, 0.2856]) / 0.3304
    expected = 0.5 * (1 - tf.image.ssim_multiscale(y, smooth, 1.0, power_factors=powers).numpy())
    np.testing.assert_allclose(values(make_loss("ms_dssim", scales=2)(y, smooth)), expected, atol=1e-4)


def test_structural_similarity_needs_room():
    with pytest.raises(UsageError, match="needs 11 rows"):
        make_loss("dssim")(normal(1, 10, 20, 1), normal(1, 10, 20, 1))


def test_focal_tversky_and_bce_dice_in_closed_form():
    y = (RNG.uniform(size=(2, 6, 7, 1)) > 0.7).astype("f4")
    x = normal(2, 6, 7, 1)
    y[1, :2] = np.nan
    p = 1 / (1 + np.exp(-x.astype("f8")))
    tp, fp, fn = (np.nansum(v, axis=(1, 2, 3)) for v in (p * y, p * (1 - y), (1 - p) * y))
    index = (tp + 1) / (tp + 0.3 * fp + 0.7 * fn + 1)
    np.testing.assert_allclose(values(make_loss("focal_tversky")(y, x)), (1 - index) ** 0.75, rtol=1e-4)
    entropy = np.nanmean(-(y * np.log(p) + (1 - y) * np.log(1 - p)), axis=(1, 2, 3))
    overlap = (2 * tp + 1) / (2 * tp + fp + fn + 1)
    expected = 0.5 * entropy + 0.5 * (1 - overlap)
    np.testing.assert_allclose(values(make_loss("bce_dice")(y, x)), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["focal_tversky", "bce_dice"])
def test_segmentation_losses_stand_extreme_logits_and_empty_targets(name):
    x = np.array([-1e4, 1e4, 0.0, 50.0], "f4").reshape(1, 2, 2, 1)
    for y in (np.zeros_like(x), np.ones_like(x), np.full_like(x, np.nan)):
        assert np.isfinite(values(make_loss(name)(y, x))).all()
        assert np.isfinite(gradient(make_loss(name), y, x)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_gives_one_value_per_example_and_is_least_where_it_should(name):
    y = normal(4, 24, 26, 1)
    truth = y
    if name in ("focal_tversky", "bce_dice"):
        y, truth = (y > 0).astype("f4"), np.where(y > 0, 9.0, -9.0).astype("f4")
    elif name.endswith("gaussian"):
        truth = np.concatenate([y, np.full_like(y, -2)], -1)
    elif name.startswith("crps"):
        truth = np.repeat(y[:, None], 3, axis=1)
    loss = make_loss(name, scales=2) if name == "ms_dssim" else make_loss(name)
    good, bad = (
        values(loss(y, truth)),
        values(loss(y, truth + normal(*truth.shape) * (5 if truth.max() > 8 else 1))),
    )
    assert good.shape == (4,)
    assert (good < bad).all()


def test_shapes_that_only_broadcasting_would_fit_are_refused():
    with pytest.raises(UsageError, match="the same axes"):
        make_loss("mse")(normal(2, 4, 5), normal(2, 4, 5, 1))
    with pytest.raises(UsageError, match="member axis"):
        make_loss("crps_fair")(normal(2, 4, 5, 1), normal(2, 4, 5, 1))


def test_mistakes_are_named():
    with pytest.raises(UsageError, match="did you mean 'crps_fair'"):
        make_loss("crps_fare")
    with pytest.raises(UsageError, match="not all zero"):
        make_loss("mse", weights=np.zeros((3, 4)))
    with pytest.raises(UsageError, match="a gaussian loss of 1 channels got a prediction of 1"):
        make_loss("crps_gaussian")(normal(1, 2, 2, 1), normal(1, 2, 2, 1))
