"""A whole package in miniature (tests/toy) through its command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from esai_toy.cli import main

from esai_core.runs import digest, read_history, read_manifest, read_metrics
from esai_core.testing import run_cli


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


WHOLE = [
    "config.toml",
    "history.csv",
    "manifest.json",
    "metrics.json",
    "model/line.npz",
    "prediction.nc",
    "report.html",
]


def test_demo_ends_by_naming_its_report(tmp_path: Path, toy_env: dict[str, str]) -> None:
    for _ in range(2):  # the second one replaces the first
        done = run_cli("esai_toy.cli", ["demo"], cwd=tmp_path, env=toy_env)
        assert done.code == 0, done.err
        assert Path(done.last) == tmp_path / "runs" / "esai-toy-demo" / "report.html"
        assert names(Path(done.last).parent) == WHOLE
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "esai-toy-demo",
        "esai-toy-demo-inputs",
    ]
    chosen = run_cli(main, ["demo", "--out", tmp_path / "runs" / "esai-toy-demo"])
    assert (chosen.code, "--overwrite" in chosen.err) == (2, True)
    assert run_cli(main, ["demo", "--out", tmp_path / "runs" / "esai-toy-demo", "--overwrite"]).code == 0


def test_demo_spares_a_folder_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "d-inputs").mkdir()
    (tmp_path / "d-inputs" / "thesis.tex").touch()
    done = run_cli(main, ["demo", "--out", tmp_path / "d"])
    assert done.code == 2
    assert names(tmp_path) == ["d-inputs/thesis.tex"]


def test_run_equals_its_steps(tmp_path: Path, toy_config: Path) -> None:
    done = run_cli(main, ["run", toy_config, "--out", tmp_path / "whole", "--set", "train.seed=5"])
    assert done.last == str(tmp_path / "whole" / "report.html")
    run_cli(main, ["train", toy_config, "--out", tmp_path / "steps", "--set", "train.seed=5"])
    for step in ("predict", "evaluate", "report"):
        assert run_cli(main, [step, tmp_path / "steps"]).code == 0
    assert names(tmp_path / "whole") == names(tmp_path / "steps") == WHOLE
    assert digest(tmp_path / "whole") == digest(tmp_path / "steps")
    one, other = read_manifest(tmp_path / "whole"), read_manifest(tmp_path / "steps")
    assert one["seed"] == other["seed"] == 5
    assert one["outputs"] == other["outputs"]
    assert (
        one["timings_s"].keys()
        == other["timings_s"].keys()
        == {"check", "fit", "train", "predict", "evaluate", "report"}
    )
    assert [step["step"] for step in other["steps"]] == ["train", "predict", "evaluate", "report"]


def test_a_run_has_what_the_contract_names(tmp_path: Path, toy_config: Path) -> None:
    run_cli(main, ["run", toy_config], cwd=tmp_path)
    folder = tmp_path / "runs" / "toy"  # the default place
    metrics = read_metrics(folder)
    assert metrics.keys() == {"schema_version", "split", "delivered", "scores", "timings_s"}
    assert metrics["timings_s"]["fit"] >= 0
    manifest = read_manifest(folder)
    (given,) = manifest["inputs"]
    assert given["path"] == str(toy_config.with_name("points.csv"))
    assert given["size"] == toy_config.with_name("points.csv").stat().st_size
    assert {"esai-core", "numpy"} <= manifest["packages"].keys()
    assert manifest["host"].keys() >= {"name", "platform", "python"}
    assert [row["epoch"] for row in read_history(folder / "history.csv")] == [0, 1, 2]
    assert manifest["outputs"]["report.html"]["sha256"] is None


def test_predict_with_another_input_leaves_the_first_run(tmp_path: Path, toy_config: Path) -> None:
    run_cli(main, ["run", toy_config, "--out", tmp_path / "a"])
    before = digest(tmp_path / "a")
    new = tmp_path / "new.csv"
    np.savetxt(new, np.ones((4, 2)), delimiter=",", header="x,y", comments="")
    done = run_cli(
        main, ["predict", tmp_path / "a", "--set", "data.points=new.csv", "--out", "b"], cwd=tmp_path
    )
    assert done.last == str(tmp_path / "b")
    assert digest(tmp_path / "a") == before
    assert "metrics.json" not in names(tmp_path / "b")  # it told of the earlier prediction
    inputs = {entry["path"] for entry in read_manifest(tmp_path / "b")["inputs"]}
    assert str(new) in inputs
    given = run_cli(main, ["predict", toy_config, "--out", tmp_path / "b"])
    assert given.code == 0
    assert digest(tmp_path / "b")["prediction.nc"] == before["prediction.nc"]


def test_rerun_finds_the_same_and_the_different(tmp_path: Path, toy_config: Path) -> None:
    run_cli(main, ["run", toy_config, "--out", tmp_path / "a"])
    same = run_cli(main, ["rerun", tmp_path / "a"])
    assert (same.code, same.last) == (0, "4 of 4 outputs are the same")
    assert not (tmp_path / "a-rerun").exists()
    points = toy_config.with_name("points.csv")
    points.write_text(points.read_text().replace("1.0", "1.5"))
    other = run_cli(main, ["rerun", tmp_path / "a"])
    assert other.code == 1
    assert f"input {points}: changed since the run" in other.err
    assert "different" in other.out
    assert str(tmp_path / "a-rerun") in other.last
    points.unlink()
    gone = run_cli(main, ["rerun", tmp_path / "a", "--out", tmp_path / "c"])
    assert (gone.code, "data.points" in gone.err) == (3, True)


def test_rerun_repeats_each_step_with_its_own_config(tmp_path: Path, toy_config: Path) -> None:
    run_cli(main, ["train", toy_config, "--out", tmp_path / "a", "--set", "train.epochs=2"])
    np.savetxt(tmp_path / "new.csv", np.ones((4, 2)), delimiter=",", header="x,y", comments="")
    run_cli(main, ["predict", tmp_path / "a", "--set", f"data.points={tmp_path / 'new.csv'}"])
    done = run_cli(main, ["rerun", tmp_path / "a", "--out", tmp_path / "b"])
    assert (done.code, done.last) == (0, f"3 of 3 outputs are the same, kept in {tmp_path / 'b'}")


def test_rerun_tells_changed_versions_and_edited_outputs(tmp_path: Path, toy_config: Path) -> None:
    run_cli(main, ["run", toy_config, "--out", tmp_path / "a"])
    manifest = read_manifest(tmp_path / "a")
    manifest["packages"]["numpy"] = "1.0"
    (tmp_path / "a" / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "a" / "history.csv").write_text("epoch,loss\n0,0\n")
    done = run_cli(main, ["rerun", tmp_path / "a"])
    assert done.code == 0
    assert "numpy was 1.0, is " in done.err
    assert "history.csv was changed after the run" in done.err


def test_a_run_folder_of_another_package_is_refused(tmp_path: Path, toy_config: Path) -> None:
    run_cli(main, ["run", toy_config, "--out", tmp_path / "a"])
    manifest = read_manifest(tmp_path / "a") | {"package": "esai-fire"}
    (tmp_path / "a" / "manifest.json").write_text(json.dumps(manifest))
    for verb in ("predict", "rerun"):
        done = run_cli(main, [verb, tmp_path / "a"])
        assert (done.code, "made by esai-fire" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "data.points=none.csv"], 3, "data.points = "),
        (["--set", "data.pionts=none.csv"], 2, "did you mean 'points'?"),
        (["--set", "fail=train"], 1, "unexpected RuntimeError: a defect (traceback in "),
    ],
)
def test_a_failed_run_leaves_the_earlier_one(
    tmp_path: Path, toy_config: Path, words: list[str], code: int, message: str
) -> None:
    out = tmp_path / "a"
    run_cli(main, ["run", toy_config, "--out", out])
    before = {name: (out / name).read_bytes() for name in WHOLE}
    done = run_cli(main, ["run", toy_config, "--out", out, "--overwrite", "-q", *words])
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert {name: (out / name).read_bytes() for name in WHOLE} == before


def test_bad_data_are_exit_code_3(tmp_path: Path, toy_config: Path) -> None:
    toy_config.with_name("points.csv").write_text("x,y\n1,two\n")
    done = run_cli(main, ["run", toy_config, "--out", tmp_path / "a"])
    assert (done.code, "no table of numbers" in done.err) == (3, True)
    assert not (tmp_path / "a").exists()


def test_a_moved_run_folder_still_works(tmp_path: Path, toy_config: Path) -> None:
    run_cli(main, ["run", toy_config, "--out", tmp_path / "a"])
    shutil.move(tmp_path / "a", tmp_path / "moved")
    assert run_cli(main, ["rerun", tmp_path / "moved"]).code == 0
