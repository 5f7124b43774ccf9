"""Worker processes on loopback: the curve of one process, and what happens when one of them is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time

import cloudpickle
import numpy as np
import pytest

from esai_core import nn
from esai_core.errors import EsaiError, UsageError
from esai_core.training import Adversary, Interrupted, TrainConfig, fit, predict

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test

RNG = np.random.default_rng(8)
X = RNG.normal(size=(44, 5, 6, 2)).astype("f4")
B = RNG.normal(size=(44, 5, 6, 1)).astype("f4")
Y = B + 0.5 * X[..., :1] - 0.3 * X[..., 1:]
HELD = ({"fields": X[:11], "baseline": B[:11]}, Y[:11])
CONFIG = TrainConfig(epochs=4, batch_size=8, seed=5, learning_rate=1e-2, clip_norm=0.5, checkpoint_every=3)
MSE = nn.make_loss("mse")


def build():
    return nn.build("convnet", fields=(5, 6, 2), width=4, depth=1, norm="batch")


def judge():
    return nn.discriminator(sample=(5, 6, 1), given={"baseline": (5, 6, 1)}, width=4, depth=1)


class Data:
    """The examples; reading them, a worker may have something happen to it, once."""

    def __init__(self, folder=None, worker=0, reads=0, event=None):
        self.folder, self.worker, self.reads, self.event = folder, worker, reads, event
        self.parent = os.getpid()

    def __len__(self):
        return len(X)

    def order(self, epoch, seed):
        return np.random.default_rng([seed, epoch]).permutation(len(X))

    def read(self, numbers):
        if self.event and json.loads(os.environ.get("TF_CONFIG", "{}"))["task"]["index"] == self.worker:
            self.reads -= 1
            if self.reads == 0:
                os.kill(self.parent if self.event == signal.SIGTERM else os.getpid(), self.event)
        return {"fields": X[numbers], "baseline": B[numbers]}, Y[numbers]


def train(folder, data=None, **options):
    options = {
        "loss": MSE,
        "config": CONFIG,
        "adversary": Adversary(discriminator=judge, weight=0.1),
    } | options
    return fit(build, data or Data(), HELD, folder=folder, **options)


SRUN = """#!{python}
import os, signal, subprocess, sys
count = next(int(word.split("=")[1]) for word in sys.argv if word.startswith("--ntasks="))
command = [word for word in sys.argv[1:] if not word.startswith("--") or word == "--index"]
spaces, nodes, per_node = {spaces!r}, {nodes!r}, {per_node!r}
started = [
    subprocess.Popen(
        ([] if not spaces else ["ip", "netns", "exec", spaces[task]]) + command,
        env=os.environ | {{
            "SLURM_STEP_ID": "0", "SLURM_PROCID": str(task), "SLURM_STEP_NUM_TASKS": str(count),
            "SLURM_STEP_NODELIST": nodes, "SLURM_STEP_TASKS_PER_NODE": per_node,
        }},
    )
    for task in range(count)
]
signal.signal(signal.SIGTERM, lambda *_: [process.terminate() for process in started])
sys.exit(max(process.wait() for process in started))
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


@pytest.fixture(scope="module")
def spaces():
    """Two network namespaces joined by a cable, as two hosts would be; none where that is not allowed."""
    names = [f"esai{os.getpid()}{letter}" for letter in "ab"]
    ends = [f"e{os.getpid()}{letter}" for letter in "ab"]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "netns", names[0], "type", "veth", "peer", ends[1], "netns", names[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True), start=1):
            ip("-n", name, "address", "add", f"10.231.7.{number}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    except (OSError, subprocess.SubprocessError):
        yield []
    finally:
        for name in names:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                ip("netns", "delete", name)


@pytest.fixture
def slurm(tmp_path, monkeypatch, spaces):
    """A stand-in for srun that starts the tasks (on two hosts if it can), with the variables of Slurm."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    nodes, per_node = ("10.231.7.1,10.231.7.2", "1(x2)") if spaces else ("127.0.0.1", "2")
    srun.write_text(SRUN.format(python=sys.executable, spaces=spaces, nodes=nodes, per_node=per_node))
    srun.chmod(srun.stat().st_mode | stat.S_IXUSR)

    @contextlib.contextmanager
    def batch_script():
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(srun.parent), prepend=os.pathsep)
            patch.setenv("SLURM_JOB_ID", "1")
            patch.setenv("SLURM_NTASKS", "2")
            patch.setenv("ESAI_PORT", str(20000 + os.getpid() % 10000))
            yield

    return batch_script


def test_two_hosts_can_be_made_here(spaces):
    """Says in the summary whether the test below has two hosts or two processes of one."""
    if not spaces:
        pytest.skip("network namespaces need root and `ip`: the workers share this host instead")
    assert len(spaces) == 2


def test_workers_give_the_curve_of_one_process_through_a_stop_and_a_kill(tmp_path, slurm):
    """Two workers in a batch script are stopped as Slurm does it; two of ours go on until one is killed.

    The last steps are done by one process: the steps are the same with any number of workers. Every start of
    a worker takes seconds (most of them TensorFlow's import), hence one test for all of it.
    """
    whole = train(tmp_path / "one")
    cut = tmp_path / "two"
    with slurm(), pytest.raises(Interrupted, match="SIGTERM at step"):
        train(cut, Data(worker=1, reads=6, event=signal.SIGTERM))
    step = {}
    for name in ("stopped", "killed"):
        checkpoint = np.load(cut / "checkpoint.npz")
        step[name] = json.loads(str(checkpoint["__meta__"]))["step"]
        if name == "stopped":
            start = time.monotonic()
            with pytest.raises(EsaiError, match="worker 0 of 2 was ended by signal 9; --resume goes on"):
                train(cut, Data(worker=0, reads=20, event=signal.SIGKILL), workers=2, resume=True)
            assert time.monotonic() - start < 60
    assert 0 < step["stopped"] < step["killed"] < 24
    history = train(cut, resume=True)
    for column in ("loss", "val_loss", "pixel_loss", "discriminator_loss"):
        np.testing.assert_allclose(history.column(column), whole.column(column), rtol=1e-5)
    np.testing.assert_allclose(predict(history.model, HELD[0]), predict(whole.model, HELD[0]), atol=1e-5)
    assert sorted(path.name for path in cut.iterdir()) == ["checkpoint.npz", "history.csv"]


def test_what_cannot_be_sent_is_refused_before_anything_starts(tmp_path):
    with (tmp_path / "file").open("w") as opened, pytest.raises(UsageError, match="cannot send"):
        fit(build, Data(folder=opened), loss=MSE, config=CONFIG, folder=tmp_path / "run", workers=2)
