"""Runs that are stopped from outside: what was there stays, what was begun can go on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from esai_toy.cli import main

from esai_core.runs import digest, read_manifest
from esai_core.testing import run_cli


def hear_interrupts() -> None:
    """Undo that a shell has its background jobs ignore Ctrl-C, which the child would inherit."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(words: list[object], env: Mapping[str, str], **settings: object) -> subprocess.Popen[str]:
    settings.setdefault("preexec_fn", hear_interrupts)
    return subprocess.Popen(
        [sys.executable, "-m", "esai_toy.cli", *map(str, words)],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if path.exists():
            return
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.05)
    pytest.fail(f"{path} never came")


@pytest.fixture
def slow(toy_config: Path) -> list[object]:
    return ["run", toy_config, "--set", "train.pause_s=0.2", "--set", "train.epochs=6"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_the_earlier_one_and_goes_on(
    tmp_path: Path, toy_config: Path, toy_env: dict[str, str], slow: list[object], number: signal.Signals
) -> None:
    out, partial = tmp_path / "a", tmp_path / ".a.partial"
    run_cli(main, ["run", toy_config, "--out", out, "--set", "train.epochs=1"])
    before = digest(out)

    process = start([*slow, "--out", out, "--overwrite"], toy_env)
    wait_for(partial / "checkpoints" / "line.npz", process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert stdout == ""
    assert digest(out) == before
    if number == signal.SIGKILL:
        assert process.returncode == -9
    else:
        assert process.returncode == 130
        assert "Traceback" not in stderr
        assert stderr.splitlines()[-1].startswith(
            "esai-toy: interrupted; earlier results are untouched; --resume"
        )

    done = run_cli(main, [*slow, "--out", out, "--overwrite", "--resume"])
    assert done.code == 0, done.err
    assert "resuming" in done.err
    whole = run_cli(main, [*slow, "--out", tmp_path / "b", "--set", "train.pause_s=0"])
    assert whole.code == 0
    assert digest(out)["model/line.npz"] == digest(tmp_path / "b")["model/line.npz"]
    assert not partial.exists()


def test_resuming_with_another_config_is_refused(
    tmp_path: Path, toy_env: dict[str, str], slow: list[object]
) -> None:
    process = start([*slow, "--out", tmp_path / "a"], toy_env)
    wait_for(tmp_path / ".a.partial" / "checkpoints" / "line.npz", process)
    process.kill()
    process.communicate()
    done = run_cli(main, [*slow, "--out", tmp_path / "a", "--resume", "--set", "train.seed=3"])
    assert done.code == 2
    assert "another config (now: seed = 3)" in done.err
    assert (tmp_path / ".a.partial" / "checkpoints" / "line.npz").exists()


def test_a_second_process_is_refused_while_the_first_writes(
    tmp_path: Path, toy_env: dict[str, str], slow: list[object]
) -> None:
    process = start([*slow, "--out", tmp_path / "a"], toy_env)
    wait_for(tmp_path / ".a.partial" / "checkpoints" / "line.npz", process)
    second = run_cli(main, [*slow, "--out", tmp_path / "a"])
    assert (second.code, f"process {process.pid} on " in second.err) == (2, True)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert stdout.strip() == str(tmp_path / "a" / "report.html")


def test_a_full_disk_is_one_line(tmp_path: Path, toy_config: Path, toy_env: dict[str, str]) -> None:
    out = tmp_path / "a"
    run_cli(main, ["run", toy_config, "--out", out])
    before = digest(out)

    def limit() -> None:  # a file size limit answers a write like a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))

    process = start(["run", toy_config, "--out", out, "--overwrite", "-q"], toy_env, preexec_fn=limit)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (1, "")
    assert len(stderr.splitlines()) == 1
    assert "the disk is full" in stderr
    assert digest(out) == before
    assert read_manifest(out)["steps"]
