from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from esai_toy.cli import main
from esai_toy.job import JOB

from esai_core import cli
from esai_core.errors import EsaiError
from esai_core.job import Job, Verb
from esai_core.testing import assert_light_cli, run_cli


def with_verb(call: Callable[..., object]) -> Job:
    return replace(JOB, extra_verbs=(Verb(name="try", summary="Try.", call=call),))


@pytest.mark.parametrize(
    "words", [["--help"], *([verb, "--help"] for verb in ("run", "predict", "submit", "config"))]
)
def test_help(words: list[str]) -> None:
    result = run_cli(main, words)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("usage: esai-toy")


def test_version_before_and_after_the_verb() -> None:
    for words in (["--version"], ["run", "--version"]):
        result = run_cli(main, words)
        assert result.code == 0
        assert result.out.startswith("esai-toy 0+unknown (esai-core ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "did you mean 'run'?"),
        ([], "VERB"),
        (["run"], "CONFIG"),
        (["run", "x.toml", "--ouut", "y"], "--ouut"),
        (["--resume", "config", "schema"], "--resume does not apply to config"),
        (["init", "--set", "a=1"], "--set"),
        (["run", "x.toml", "--workers", "0"], "--workers 0"),
        (["run", "x.toml", "--workers", "two"], "invalid int"),
        (["run", "x.toml", "--cluster", "local:4"], "--cluster"),
        (["config", "chekc"], "did you mean 'check'?"),
        (["run", "x.toml"], "no such config (x.toml)"),
        (["report", "nowhere"], "no such run folder or config"),
        (["rerun", "."], "no run folder"),
        (["config", "check"], "needs a config"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words: list[str], message: str, tmp_path: Path) -> None:
    result = run_cli(main, words, cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.startswith("esai-toy: error: ")
    assert len(result.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (EsaiError("odd"), 1, "error: odd"),
        (OSError(28, "No space left on device", "/x"), 1, "the disk is full"),
        (FileNotFoundError(2, "No such file", "/x"), 3, "no such file (/x)"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("SIGTERM at step 3"), 130, "SIGTERM at step 3"),
        (ZeroDivisionError("defect"), 1, "unexpected ZeroDivisionError: defect (traceback in "),
    ],
)
def test_whatever_stops_a_verb_has_its_code_and_one_line(
    error: BaseException, code: int, message: str
) -> None:
    def call(args: object) -> None:
        raise error

    result = run_cli(lambda words: cli.main(with_verb(call), words), ["try"])
    assert result.code == code
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_the_traceback_of_a_defect_is_kept_and_shown_with_v() -> None:
    def call(args: object) -> None:
        raise ZeroDivisionError("defect")

    job = with_verb(call)
    quiet = run_cli(lambda words: cli.main(job, words), ["try"])
    log = Path(quiet.err.split("traceback in ")[1].split(")")[0])
    assert "ZeroDivisionError: defect" in log.read_text()
    log.unlink()
    loud = run_cli(lambda words: cli.main(job, words), ["-v", "try"])
    assert "Traceback (most recent call last)" in loud.err
    Path(loud.err.split("traceback in ")[1].split(")")[0]).unlink()


def test_options_stand_before_or_after_the_verb(toy_config: Path) -> None:
    for words in (
        ["--set", "train.epochs=9", "config", "show", toy_config, "--set", "train.seed=4"],
        ["config", "show", toy_config, "--set", "train.epochs=9", "--set", "train.seed=4"],
        ["--set", "train.epochs=9", "--set", "train.seed=4", "-q", "config", "show", toy_config],
    ):
        result = run_cli(main, words)
        assert "epochs = 9" in result.out
        assert "seed = 4" in result.out


def test_several_jobs_under_one_command(tmp_path: Path, toy_config: Path) -> None:
    jobs = {
        "mos": replace(JOB, summary="One."),
        "no2": replace(JOB, summary="Two.", demo=None, workers=False),
    }

    def call(words: list[str]) -> int:
        return cli.main(jobs, words)

    assert "mos" in run_cli(call, ["--help"]).out
    assert run_cli(call, ["mos", "run", toy_config, "--out", tmp_path / "a", "-q"]).last.endswith(
        "report.html"
    )
    assert run_cli(call, ["--out", tmp_path / "b", "no2", "-q", "run", toy_config]).code == 0
    assert run_cli(call, ["no2", "demo"]).code == 2
    assert "did you mean 'no2'" in run_cli(call, ["no", "demo"]).err


def test_verbs_of_one_package(tmp_path: Path, toy_config: Path) -> None:
    assert run_cli(main, ["hello", "you"]).out == "hello you\n"
    done = run_cli(main, ["proxy", toy_config, "--out", tmp_path / "p"])
    assert Path(done.last, "proxy.csv").exists()
    run_cli(main, ["train", toy_config, "--out", tmp_path / "r"])
    early = run_cli(main, ["submit", tmp_path / "r", "--contest", "b"])
    assert early.code == 2
    assert "submit needs the step predict" in early.err
    run_cli(main, ["predict", tmp_path / "r"])
    assert run_cli(main, ["submit", tmp_path / "r", "--contest", "b"]).code == 0
    assert (tmp_path / "r" / "submission.txt").read_text() == "b\n"
    steps = json.loads((tmp_path / "r" / "manifest.json").read_text())["steps"]
    assert steps[-1]["options"] == {"contest": "b"}


def test_init_writes_a_config_that_is_read(tmp_path: Path) -> None:
    done = run_cli(main, ["init"], cwd=tmp_path)
    assert done.out == "esai-toy.toml\n"
    assert run_cli(main, ["config", "show", tmp_path / "esai-toy.toml"]).code == 0
    assert "exists" in run_cli(main, ["init"], cwd=tmp_path).err
    assert run_cli(main, ["init", "--overwrite", "--out", tmp_path / "esai-toy.toml"]).code == 0
    missing = run_cli(main, ["config", "check", tmp_path / "esai-toy.toml"])
    assert missing.code == 3
    assert "data.points" in missing.err


def test_config_verbs(tmp_path: Path, toy_config: Path) -> None:
    assert "valid" in run_cli(main, ["config", "check", toy_config]).out
    schema = json.loads(run_cli(main, ["config", "schema"]).out)
    assert "data" in schema["properties"]
    shown = run_cli(main, ["config", "show", toy_config, "--out", tmp_path / "new.toml"])
    assert shown.out == f"{tmp_path / 'new.toml'}\n"
    assert run_cli(main, ["config", "check", tmp_path / "new.toml"]).code == 0


def test_a_reader_that_leaves_is_no_error(toy_config: Path, toy_env: dict[str, str]) -> None:
    command = f"{sys.executable} -m esai_toy.cli config schema | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env={**os.environ, **toy_env}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "{0\n"
    assert done.stderr == ""


def test_help_is_light(monkeypatch: pytest.MonkeyPatch, toy_env: dict[str, str]) -> None:
    monkeypatch.setenv("PYTHONPATH", toy_env["PYTHONPATH"])
    assert_light_cli("esai_toy", verbs=["run", "demo"])


def test_a_heavy_command_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "esai_heavy.py").write_text(
        "import numpy\ndef main(argv):\n    print('help')\n    return 0\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(AssertionError, match="imports numpy"):
        assert_light_cli("esai_heavy", module="esai_heavy")
