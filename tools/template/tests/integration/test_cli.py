from __future__ import annotations

import json
from pathlib import Path

from esai_core.testing import assert_light_cli, run_cli
from esai_template.cli import main


def test_help_is_light() -> None:
    assert_light_cli("esai_template", verbs=["run", "demo"])


def test_the_demo_makes_a_whole_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = run_cli(main, ["demo", "--out", out])
    assert done.code == 0, done.err
    assert Path(done.last) == out / "report.html"
    scores = json.loads((out / "metrics.json").read_text())["scores"]
    assert scores["trend"]["rmse"] < scores["climatology"]["rmse"]
    assert (out / "manifest.json").is_file()


def test_a_year_that_the_file_has_not_is_one_clear_line(tmp_path: Path) -> None:
    assert run_cli(main, ["demo", "--out", tmp_path / "run"]).code == 0
    config = tmp_path / "run-inputs" / "config.toml"
    done = run_cli(main, ["run", config, "--out", tmp_path / "other", "--set", "split.test=[1999, 2003]"])
    assert done.code == 3
    assert "24 months in 1999-2003, not 60" in done.error
    assert not (tmp_path / "other").exists()
