from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from esai_core.testing import Result, data_path, run_cli


def test_real_data_or_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.nc").touch()
    monkeypatch.setenv("ESAI_DATA", str(tmp_path))
    assert data_path("a.nc") == tmp_path / "a.nc"
    with pytest.raises(pytest.skip.Exception, match=r"no b\.nc under ESAI_DATA"):
        data_path("b.nc")
    monkeypatch.delenv("ESAI_DATA")
    with pytest.raises(pytest.skip.Exception, match=r"ESAI_DATA is not set \(wanted a\.nc\)"):
        data_path("a.nc")


def test_a_command_in_this_process_leaves_no_trace(tmp_path: Path) -> None:
    def command(words: Sequence[str]) -> int:
        print(*words, Path.cwd().name, os.environ["ESAI_TEST"])
        print("careful", file=sys.stderr)
        return 3

    here = Path.cwd()
    result = run_cli(command, ["a", tmp_path, 3], cwd=tmp_path, env={"ESAI_TEST": "x"})
    assert result == Result(3, f"a {tmp_path} 3 {tmp_path.name} x\n", "careful\n")
    assert Path.cwd() == here
    assert "ESAI_TEST" not in os.environ


def test_what_a_result_tells() -> None:
    result = Result(2, "one\ntwo\n\n", "12:00:00 fit: 1 s\nesai-x: error: bad\n")
    assert result.last == "two"
    assert result.error == "esai-x: error: bad"
    assert Result(0, "", "").last == Result(0, "", "").error == ""
