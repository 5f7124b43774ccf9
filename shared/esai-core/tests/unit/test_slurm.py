"""Batch scripts: what they ask for, what they refuse, and what the shell makes of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from esai_core.__main__ import main
from esai_core.errors import UsageError
from esai_core.slurm import MACHINES, batch_script

COMMAND = ["esai-seasonal", "run", "my config.toml", "--out", "runs/a"]


def directives(text):
    return [line.removeprefix("#SBATCH --") for line in text.splitlines() if line.startswith("#SBATCH")]


@pytest.mark.parametrize("machine", MACHINES)
def test_scripts_are_valid_shell_and_ask_for_the_machine(machine):
    text = batch_script(COMMAND, machine=machine, nodes=3, account="ehpc01")
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    asked = directives(text)
    assert {"nodes=3", "account=ehpc01", "requeue", "signal=B:TERM@120"} <= set(asked)
    assert ("gres=gpu:4" in asked) == (machine == "mn5-acc")
    assert "'my config.toml'" in text
    assert text.count("--resume") == 1


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ([], {}, "no command"),
        (["srun", *COMMAND], {}, "not under srun"),
        ([*COMMAND, "--workers", "2"], {}, "one node only"),
        (COMMAND, {"machine": "mn5-ac"}, "did you mean 'mn5-acc'"),
        (COMMAND, {"nodes": 0}, "nodes = 0"),
        (COMMAND, {"machine": "mn5-acc", "tasks": 4}, "one task uses all GPUs"),
        (COMMAND, {"time": "soon"}, "HH:MM:SS"),
    ],
)
def test_what_cannot_work_is_refused(command, options, message):
    with pytest.raises(UsageError, match=message):
        batch_script(command, **options)


def test_command_writes_the_script_and_tells_mistakes_in_one_line(tmp_path, capsys):
    script = tmp_path / "train.sh"
    assert (
        main(
            [
                "slurm",
                "--machine",
                "mn5-gpp",
                "--setup",
                "module load x",
                "--out",
                str(script),
                "--",
                *COMMAND,
            ]
        )
        == 0
    )
    assert capsys.readouterr().out == f"{script}\n"
    assert "\nmodule load x\n" in script.read_text()
    assert main(["slurm", "--time", "soon", "--", *COMMAND]) == 2
    assert capsys.readouterr().err.startswith("esai-core: error: time = soon; write")
    assert main(["slurm", "--help"]) == 0


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom esai_core.__main__ import main\nmain(['slurm', '--help'])\n"
        "assert not {'numpy', 'tensorflow', 'keras', 'xarray', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


CHILD = """#!{python}
import pathlib, signal, sys, time
def stop(number, frame):
    time.sleep(0.3)
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
pathlib.Path({ready!r}).touch()
time.sleep(20)
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_preempted_job_waits_for_its_checkpoint_and_queues_again(tmp_path):
    """Run in a real shell with stand-ins for the command and for scontrol."""
    ready, queued = tmp_path / "ready", tmp_path / "queued"
    for name, text in (
        ("esai-toy", CHILD.format(python=sys.executable, ready=str(ready))),
        ("scontrol", f'#!/bin/bash\necho "$@" > {queued}\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    script = tmp_path / "train.sh"
    script.write_text(batch_script(["esai-toy", "run"]))
    environment = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "42",
        "SLURM_CPUS_PER_TASK": "1",
    }
    with subprocess.Popen(["bash", str(script)], env=environment) as job:
        for _ in range(200):
            if ready.exists():
                break
            time.sleep(0.05)
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=15) == 130
    assert queued.read_text() == "requeue 42\n"
