"""Batch normalisation over several workers and devices: the statistics, and so the curve, of one process."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import cloudpickle
import numpy as np
import pytest

from esai_core import nn
from esai_core.errors import UsageError
from esai_core.nn._keras import keras
from esai_core.training import TrainConfig, fit, predict
from esai_core.training.loop import _separate_seeds
from esai_core.training.steps import check_batch_statistics
from esai_core.training.strategies import Cluster, make_strategy

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test

RNG = np.random.default_rng(21)
FIELDS = RNG.normal(size=(22, 16, 20, 3)).astype("f4")
PLANTS = (FIELDS[..., :1] + FIELDS[..., 1:2] > 1.0).astype("f4")
DATA, HELD = ({"fields": FIELDS}, PLANTS), ({"fields": FIELDS[:7]}, PLANTS[:7])
CONFIG = TrainConfig(epochs=4, batch_size=8, seed=2, learning_rate=1e-2, schedule="cosine", weight_decay=1e-2)


def segmentation():
    return nn.build("unet", fields=(16, 20, 3), width=4, depth=2, norm="batch", baseline=False)


def test_two_workers_give_the_curve_and_statistics_of_one_for_a_segmentation_unet(tmp_path):
    """22 examples in batches of 8: the last batch of an epoch is not full."""
    options = {"loss": nn.make_loss("bce_dice"), "config": CONFIG}
    one = fit(segmentation, DATA, HELD, folder=tmp_path / "one", **options)
    two = fit(segmentation, DATA, HELD, folder=tmp_path / "two", workers=2, **options)
    for column in ("loss", "val_loss"):
        np.testing.assert_allclose(two.column(column), one.column(column), rtol=1e-5)
    moving = [w for w in one.model.weights if "moving" in w.path]
    assert len(moving) >= 8
    for ours, theirs in zip(two.model.get_weights(), one.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(predict(two.model, HELD[0]), predict(one.model, HELD[0]), atol=1e-4)


TWO_DEVICES = """
import sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from esai_core import nn
from esai_core.training import Adversary, TrainConfig, fit
rng = np.random.default_rng(0)
x, b = (rng.normal(size=(22, 8, 8, c)).astype("f4") for c in (2, 1))
data = ({"fields": x, "baseline": b}, b + 0.4 * x[..., :1])
config = TrainConfig(epochs=3, batch_size=8, clip_norm=0.5, ema=0.9, learning_rate=1e-2)
def judge():
    return nn.discriminator(sample=(8, 8, 1), given={"baseline": (8, 8, 1)}, width=4)
curves = []
for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    found = fit(
        lambda: nn.build("unet", fields=(8, 8, 2), width=4, depth=1, norm="batch"),
        data, data, loss=nn.make_loss("mse"), config=config, strategy=strategy,
        folder=f"{sys.argv[1]}/{len(curves)}",
        adversary=Adversary(discriminator=judge, weight=0.1),
    )
    curves.append([found.column(n)[1:] for n in ("loss", "val_loss", "pixel_loss", "discriminator_loss")])
assert strategy.num_replicas_in_sync == 2
np.testing.assert_allclose(curves[1], curves[0], rtol=1e-5)
"""


def test_two_devices_of_one_process_give_the_curve_of_one(tmp_path):
    """`MirroredStrategy`, as on a node with several GPUs, on two halves of a processor."""
    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(tmp_path)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(("gpus", "expected"), [(["GPU:0"], "NCCL"), ([], "RING")])
def test_hosts_with_gpus_sum_by_nccl(monkeypatch, gpus, expected):
    asked = []
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(
        "tensorflow.distribute.MultiWorkerMirroredStrategy",
        lambda communication_options: asked.append(communication_options.implementation.value),
    )
    monkeypatch.setenv("TF_CONFIG", "")
    make_strategy(Cluster(("a:1", "b:1"), 0))
    assert asked == [expected]


def unsynchronised():
    x = keras.Input((4, 4, 1))
    return keras.Model(x, keras.layers.BatchNormalization()(x))


def test_statistics_that_depend_on_the_number_of_workers_are_refused():
    check_batch_statistics(unsynchronised(), CONFIG, 1)
    check_batch_statistics(segmentation(), CONFIG, 4)
    check_batch_statistics(nn.build("unet", fields=(16, 20, 3), width=4, depth=1), CONFIG, 3)
    with pytest.raises(UsageError, match=r"batch_size = 8.*multiple of 3"):
        check_batch_statistics(segmentation(), CONFIG, 3)
    with pytest.raises(UsageError, match="synchronized"):
        check_batch_statistics(unsynchronised(), CONFIG, 2)
    inner = nn.over_members(nn.build("unet", fields=(16, 20, 3), width=4, depth=1, norm="batch"))
    parts = CONFIG.model_copy(update={"accumulate_steps": 3})
    with pytest.raises(UsageError, match="multiple of 6"):
        check_batch_statistics(inner, parts, 2)


def test_dropout_of_each_worker_has_numbers_of_its_own_and_a_rerun_the_same():
    def mask(index):
        spec = SimpleNamespace(as_dict=lambda: {"worker": ["a:1", "b:1", "c:1"]})
        resolver = SimpleNamespace(task_id=index, task_type="worker", cluster_spec=lambda: spec)
        x = keras.Input((64,))
        model = keras.Model(x, keras.layers.Dropout(0.5, seed=4)(x))
        _separate_seeds(model, SimpleNamespace(cluster_resolver=resolver))
        return np.asarray(model(np.ones((1, 64), "f4"), training=True)) > 0

    masks = [mask(index) for index in range(3)]
    assert all((a != b).any() for a, b in ((masks[0], masks[1]), (masks[1], masks[2]), (masks[0], masks[2])))
    np.testing.assert_array_equal(mask(1), masks[1])
