"""The same networks and losses on JAX: TensorFlow's numbers, and plain ``fit``, on two devices too."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from esai_core import nn

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")

RNG = np.random.default_rng(6)
OPTIONS = {
    "convnet": {"window": 2, "static": RNG.normal(size=(5, 6, 1)), "localised": True},
    "convnext": {"padding": "reflect"},
    "densenet": {"attention": True},
    "resnet": {"factor": 2, "node": True, "upsampling": "subpixel"},
    "unet": {"norm": "group"},
}
LOSSES = {name: name.startswith("crps") and not name.endswith("gaussian") for name in nn.LOSSES}

SCRIPT = """
import sys, warnings
import jax, keras
import numpy as np
from esai_core import nn
assert keras.backend.backend() == "jax"
folder, *names = sys.argv[1:]
warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # Keras 3.15 on NumPy 2
results = {}
for name in names:
    model = nn.load(f"{folder}/{name}.keras")
    with np.load(f"{folder}/{name}.npz") as file:
        inputs = dict(file)
    trainable, other = model.trainable_variables, model.non_trainable_variables
    forward = jax.jit(lambda a, b, x: model.stateless_call(a, b, x)[0])
    results[name] = forward([v.value for v in trainable], [v.value for v in other], inputs)
with np.load(f"{folder}/losses.npz") as file:
    y, x, members = file["y"], file["x"], file["members"]
for name in nn.LOSSES:
    target, given = (y > 0).astype("f4") if name in ("bce_dice", "focal_tversky") else y, x
    given = members if name.startswith("crps") and name != "crps_gaussian" else given
    given = np.concatenate([x, 0.1 * x], -1) if name.endswith("gaussian") else given
    loss = nn.make_loss(name, scales=2) if name == "ms_dssim" else nn.make_loss(name)
    results[f"loss_{name}"], pull = jax.vjp(jax.jit(lambda p: loss(target, p)), given)
    results[f"slope_{name}"] = pull(np.ones(len(y), "f4"))[0]
inputs = {"fields": x[:, :5, :6], "baseline": np.zeros((4, 5, 6, 1), "f4")}
for name, distribution in (("one", None), ("parallel", keras.distribution.DataParallel())):
    keras.distribution.set_distribution(distribution)
    keras.utils.set_random_seed(1)
    model = nn.build("convnet", fields=(5, 6, 1), width=4, depth=1)
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss=nn.make_loss("mse"))
    history = model.fit(inputs, y[:, :5, :6] + x[:, :5, :6], epochs=4, batch_size=2, shuffle=False, verbose=0)
    results[name] = history.history["loss"]
assert {len(v.value.sharding.device_set) for v in model.trainable_variables} == {2}
np.savez(f"{folder}/jax.npz", **results)
"""


def make_loss(name):
    return nn.make_loss(name, scales=2) if name == "ms_dssim" else nn.make_loss(name)


def test_jax_gives_the_numbers_of_tensorflow_and_trains(tmp_path):
    import tensorflow as tf

    expected = {}
    for name, options in OPTIONS.items():
        model = nn.build(name, fields=(5, 6, 2), condition=2, width=4, depth=1, **options)
        model.set_weights([RNG.normal(size=w.shape, scale=0.3).astype("f4") for w in model.get_weights()])
        inputs = {t.name: RNG.normal(size=(3, *t.shape[1:])).astype("f4") for t in model.inputs}
        nn.save(model, tmp_path / f"{name}.keras")
        np.savez(tmp_path / f"{name}.npz", **inputs)
        expected[name] = model(inputs).numpy()
    y, x = (RNG.normal(size=(4, 24, 26, 1)).astype("f4") for _ in range(2))
    y[0, 3] = np.nan
    members = RNG.normal(size=(4, 5, 24, 26, 1)).astype("f4")
    members[2, 4] = np.nan
    np.savez(tmp_path / "losses.npz", y=y, x=x, members=members)
    for name, ensemble in LOSSES.items():
        target = (y > 0).astype("f4") if name in ("bce_dice", "focal_tversky") else y
        given = members if ensemble else np.concatenate([x, 0.1 * x], -1) if name.endswith("gaussian") else x
        given = tf.constant(given)
        with tf.GradientTape() as tape:
            tape.watch(given)
            values = make_loss(name)(target, given)
            total = tf.reduce_sum(values)
        expected[f"loss_{name}"] = values.numpy()
        expected[f"slope_{name}"] = tape.gradient(total, given).numpy()

    quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    flags = f"--xla_force_host_platform_device_count=2 {quick}"
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path), *OPTIONS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(tmp_path / "jax.npz") as file:
        got = dict(file)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=2e-4, atol=2e-5, err_msg=name)
    assert got["one"][-1] < got["one"][0]
    np.testing.assert_allclose(got["parallel"], got["one"], rtol=1e-5)
