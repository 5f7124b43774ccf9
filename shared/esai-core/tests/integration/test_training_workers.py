"""Worker processes on loopback: the curve of one process, and what happens when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import stat
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

    def __len__(self):
        return len(X)

    def order(self, epoch, seed):
        return np.random.default_rng([seed, epoch]).permutation(len(X))

    def read(self, numbers):
        if self.event and json.loads(os.environ.get("TF_CONFIG", "{}"))["task"]["index"] == self.worker:
            self.reads -= 1
            if self.reads == 0:
                target = os.getppid() if self.event == signal.SIGTERM else os.getpid()
                os.kill(target, self.event)
        return {"fields": X[numbers], "baseline": B[numbers]}, Y[numbers]


def train(folder, data=None, **options):
    options = {
        "loss": MSE,
        "config": CONFIG,
        "adversary": Adversary(discriminator=judge, weight=0.1),
    } | options
    return fit(build, data or Data(), HELD, folder=folder, **options)


SRUN = """#!{python}
import os, subprocess, sys
count = next(int(word.split("=")[1]) for word in sys.argv if word.startswith("--ntasks="))
command = [word for word in sys.argv[1:] if not word.startswith("--") or word == "--index"]
started = [
    subprocess.Popen(command, env=os.environ | {{
        "SLURM_STEP_ID": "0", "SLURM_PROCID": str(task), "SLURM_STEP_NUM_TASKS": str(count),
        "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_STEP_TASKS_PER_NODE": str(count),
    }})
    for task in range(count)
]
sys.exit(max(process.wait() for process in started))
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A stand-in for srun that starts the tasks on this host, with the variables that Slurm sets."""
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(SRUN.format(python=sys.executable))
    srun.chmod(srun.stat().st_mode | stat.S_IXUSR)

    def enter():
        monkeypatch.setenv("PATH", str(srun.parent), prepend=os.pathsep)
        monkeypatch.setenv("SLURM_JOB_ID", "1")
        monkeypatch.setenv("SLURM_NTASKS", "2")
        monkeypatch.setenv("ESAI_PORT", str(20000 + os.getpid() % 10000))

    return enter


def test_workers_give_the_curve_of_one_process_through_a_stop_and_a_kill(tmp_path, slurm):
    """Stopped as Slurm does it, then the chief is killed, and at last the rest is done in a batch script."""
    whole = train(tmp_path / "one")
    cut = tmp_path / "two"
    with pytest.raises(Interrupted, match="SIGTERM at step"):
        train(cut, Data(worker=1, reads=6, event=signal.SIGTERM), workers=2)
    stopped = np.load(cut / "checkpoint.npz")
    assert 0 < json.loads(str(stopped["__meta__"]))["step"] < 24
    start = time.monotonic()
    with pytest.raises(EsaiError, match="worker 0 of 2 was ended by signal 9; --resume goes on"):
        train(cut, Data(worker=0, reads=7, event=signal.SIGKILL), workers=2, resume=True)
    assert time.monotonic() - start < 60
    slurm()
    history = train(cut, resume=True)
    for column in ("loss", "val_loss", "pixel_loss", "discriminator_loss"):
        np.testing.assert_allclose(history.column(column), whole.column(column), rtol=1e-5)
    np.testing.assert_allclose(predict(history.model, HELD[0]), predict(whole.model, HELD[0]), atol=1e-5)
    assert sorted(path.name for path in cut.iterdir()) == ["checkpoint.npz", "history.csv"]


def test_what_cannot_be_sent_is_refused_before_anything_starts(tmp_path):
    with (tmp_path / "file").open("w") as opened, pytest.raises(UsageError, match="cannot send"):
        fit(build, Data(folder=opened), loss=MSE, config=CONFIG, folder=tmp_path / "run", workers=2)
