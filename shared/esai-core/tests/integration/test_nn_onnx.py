"""Models written as ONNX give the numbers that they had."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from esai_core import nn
from esai_core.errors import InputError, UsageError
from esai_core.training import predict

missing = [name for name in ("onnxruntime", "tf2onnx") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed")

RNG = np.random.default_rng(12)
CASES = {
    "convnet": {"window": 2, "static": RNG.normal(size=(5, 7, 1)), "localised": True},
    "convnext": {"padding": "reflect"},
    "densenet": {"attention": True, "norm": "layer"},
    "resnet": {"factor": 4, "node": True, "upsampling": "subpixel", "kernel": 5},
    "unet": {"norm": "batch", "padding": "zero", "dropout": 0.2},
}


def shaken(name, **options):
    model = nn.build(name, fields=(5, 7, 2), width=4, depth=2, **options)
    model.set_weights([np.abs(RNG.normal(size=w.shape, scale=0.2)).astype("f4") for w in model.get_weights()])
    return model


@pytest.mark.parametrize("name", CASES)
def test_every_backbone_gives_the_same_numbers(tmp_path, name):
    model = shaken(name, condition=3, **CASES[name])
    inputs = {t.name: RNG.normal(size=(5, *t.shape[1:])).astype("f4") for t in model.inputs}
    expected = predict(model, inputs, batch_size=2)
    again = nn.OnnxModel(nn.export_onnx(model, tmp_path / "model.onnx")).predict(inputs, batch_size=2)
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_members_and_grids_of_any_size(tmp_path):
    model = nn.over_members(shaken("resnet", dropout=0.1))
    fields, baseline = (RNG.normal(size=(2, 4, 5, 7, c)).astype("f4") for c in (2, 1))
    fields[1, 3] = np.nan
    inputs = {"fields": fields, "baseline": baseline}
    ours = nn.OnnxModel(nn.export_onnx(model, tmp_path / "members.onnx")).predict(inputs)
    np.testing.assert_allclose(ours, predict(model, inputs), rtol=1e-5, atol=1e-5)
    whole = nn.build("unet", fields=(None, None, 3), width=4, depth=2, baseline=False, norm="batch")
    whole.set_weights([np.abs(RNG.normal(size=w.shape, scale=0.3)).astype("f4") for w in whole.get_weights()])
    runtime = nn.OnnxModel(nn.export_onnx(whole, tmp_path / "any.onnx"), threads=1)
    for size in ((8, 12), (13, 21)):
        x = RNG.normal(size=(1, *size, 3)).astype("f4")
        np.testing.assert_allclose(runtime.predict(x), predict(whole, {"fields": x}), rtol=1e-4, atol=1e-5)


def test_inference_needs_no_tensorflow(tmp_path):
    model = shaken("convnet", baseline=False)
    nn.export_onnx(model, tmp_path / "model.onnx")
    script = (
        "import sys, numpy as np\nfrom esai_core import nn\n"
        "y = nn.OnnxModel(sys.argv[1]).predict(np.ones((1, 5, 7, 2)))\n"
        "assert y.shape == (1, 5, 7, 1) and not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "model.onnx")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_mistakes_are_named(tmp_path):
    with pytest.raises(InputError, match="no such model"):
        nn.OnnxModel(tmp_path / "absent.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"broken\.onnx"):
        nn.OnnxModel(tmp_path / "broken.onnx")
    with pytest.raises(UsageError, match=r"\.onnx file"):
        nn.export_onnx(shaken("convnet"), tmp_path / "model.pb")
    runtime = nn.OnnxModel(nn.export_onnx(shaken("convnet"), tmp_path / "model.onnx"))
    with pytest.raises(UsageError, match="give baseline, fields"):
        runtime.predict({"fields": np.zeros((1, 5, 7, 2))})
