from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.runs import RunFolder, check_metrics, read_history, read_manifest, read_metrics
from esai_core.runs.manifest import describe_input, peak_memory, versions

METRICS = {
    "split": {"test": [2003, 2008]},
    "delivered": "mlr",
    "scores": {"mlr": {"rmse": 0.4}, "raw": {"rmse": 1.7}},
}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make(folder: Path, text: str = "x", **settings: bool) -> Path:
    with RunFolder.create(folder, **settings) as run, run.step("train", config="a = 1\n", seed=7):
        run.path("model/weights.txt").write_text(text)
    return folder


def test_a_run_appears_whole(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "runs" / "a", command=["esai-x", "run"]) as run:
        with run.step("train", config="a = 1\n", seed=7), run.stage("fit"):
            run.path("model/weights.txt").write_text("x")
            run.checkpoints.joinpath("epoch").write_text("1")
        assert not run.folder.exists()
        run.write_metrics(METRICS)
    folder = tmp_path / "runs" / "a"
    assert names(folder) == ["config.toml", "manifest.json", "metrics.json", "model"]
    assert names(tmp_path / "runs") == ["a"]
    manifest = read_manifest(folder)
    assert manifest["seed"] == 7
    assert manifest["command"] == ["esai-x", "run"]
    assert set(manifest["outputs"]) == {"model/weights.txt", "metrics.json"}
    assert manifest["timings_s"].keys() == {"train", "fit"}
    assert read_metrics(folder)["timings_s"] == manifest["timings_s"]
    assert manifest["packages"]["numpy"] == np.__version__
    assert 10e6 < manifest["peak_memory_bytes"] <= peak_memory()


def test_an_existing_folder_is_refused_without_overwrite(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    with pytest.raises(UsageError, match="--overwrite"):
        make(folder)
    make(folder, "new", overwrite=True)
    assert (folder / "model/weights.txt").read_text() == "new"


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name, words in (("precious", "no run folder"), ("file", "is a file")):
        with pytest.raises(UsageError, match=words):
            make(tmp_path / name, overwrite=True)
    assert (tmp_path / "precious" / "thesis.tex").read_text() == "x"


@pytest.mark.parametrize(
    "error", [InputError("bad"), RuntimeError("defect"), KeyboardInterrupt(), OSError(28, "full")]
)
def test_whatever_stops_a_run_the_earlier_one_stays(tmp_path: Path, error: BaseException) -> None:
    folder = make(tmp_path / "a", "old")
    before = (folder / "manifest.json").read_bytes()

    def attempt() -> None:
        with RunFolder.create(folder, overwrite=True) as run:
            run.path("model/weights.txt").write_text("new")
            raise error

    with pytest.raises((EsaiError, RuntimeError, KeyboardInterrupt)):
        attempt()
    assert (folder / "model/weights.txt").read_text() == "old"
    assert (folder / "manifest.json").read_bytes() == before
    assert not (tmp_path / ".a.partial").exists()
    assert (tmp_path / ".a.error.log").exists() == isinstance(error, RuntimeError)


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(EsaiError, match="the disk is full") as caught, RunFolder.create(tmp_path / "a"):
        raise OSError(28, "No space left on device", "x.nc")
    assert caught.value.exit_code == 1


def test_an_error_of_the_netcdf_library_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esai_core.runs.record.disk_is_full", lambda folder: True)
    with pytest.raises(EsaiError, match="the disk is full"), RunFolder.create(tmp_path / "a"):
        raise RuntimeError("NetCDF: HDF error")


def test_an_interrupted_run_goes_on_with_resume(tmp_path: Path) -> None:
    def attempt(fail: bool, resume: bool) -> list[str]:
        seen = []
        with RunFolder.create(tmp_path / "a", resume=resume) as run:
            seen = [*run.done, *(["resumed"] if run.resume else [])]
            if "train" not in run.done:
                with run.step("train", config="a = 1\n"):
                    run.path("model.txt").write_text("trained once")
            if fail:
                raise KeyboardInterrupt
        return seen

    with pytest.raises(KeyboardInterrupt):
        attempt(fail=True, resume=False)
    assert (tmp_path / ".a.partial" / "model.txt").exists()
    assert attempt(fail=False, resume=True) == ["train", "resumed"]
    assert read_manifest(tmp_path / "a")["outputs"].keys() == {"model.txt"}
    assert names(tmp_path) == ["a"]


def test_without_resume_an_interrupted_run_is_discarded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def attempt() -> None:
        with RunFolder.create(tmp_path / "a") as run:
            (run.checkpoints / "epoch").write_text("1")
            run.path("left.txt").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attempt()
    with RunFolder.create(tmp_path / "a") as run:
        assert not run.has("left.txt")
    assert "discarded" in caplog.text


def test_names_stay_in_the_folder(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "a") as run:
        for name in ("../x", "/etc/x", "a/../../x", ".", ""):
            with pytest.raises(UsageError, match="stay in the run folder"):
                run.path(name)
        with pytest.raises(UsageError, match=r"no model\.txt"):
            run.find("model.txt")


def test_extending_never_touches_the_shared_files(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "old")

    def attempt() -> None:
        with RunFolder.extend(folder) as run:
            assert run.find("model/weights.txt").samefile(folder / "model/weights.txt")
            with run.path("model/weights.txt").open("a") as file:
                file.write(" and new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        attempt()
    assert (folder / "model/weights.txt").read_text() == "old"
    with RunFolder.extend(folder) as run, run.step("predict", config="a = 2\n"):
        assert run.seed == 0
        run.path("p.txt").write_text("p")
    manifest = read_manifest(folder)
    assert [(step["step"], step["config"]) for step in manifest["steps"]] == [
        ("train", "a = 1\n"),
        ("predict", None),
    ]
    assert manifest["outputs"]["p.txt"]["step"] == "predict"
    assert (folder / "config.toml").read_text() == "a = 2\n"


def test_extending_elsewhere_leaves_the_source(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", "old")
    with RunFolder.extend(folder, out=tmp_path / "b") as run, run.step("predict"):
        run.find("model/weights.txt").write_text("changed in place")
    assert (folder / "model/weights.txt").read_text() == "old"
    with pytest.raises(UsageError, match="exists"), RunFolder.extend(folder, out=tmp_path / "b"):
        pass


def test_repeating_a_step_drops_what_was_built_on_it(tmp_path: Path) -> None:
    folder = make(tmp_path / "a")
    for step in ("predict", "evaluate"):
        with RunFolder.extend(folder) as run, run.step(step), run.stage(f"inner {step}"):
            run.path(f"{step}.txt").write_text(step)
    with RunFolder.extend(folder) as run, run.step("predict", undoes=["evaluate"]):
        run.path("predict.txt").write_text("again")
    manifest = read_manifest(folder)
    assert [step["step"] for step in manifest["steps"]] == ["train", "predict"]
    assert not (folder / "evaluate.txt").exists()
    assert "inner evaluate" not in manifest["timings_s"]


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 9}'])
def test_a_folder_without_a_manifest_is_no_run(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="no run folder"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UsageError, match=r"manifest"):
        read_manifest(tmp_path)


def test_inputs_are_recorded_once_with_their_digest(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("abc")
    store = tmp_path / "in.zarr"
    (store / "c").mkdir(parents=True)
    (store / "c" / "0").write_text("abc")
    with RunFolder.create(tmp_path / "a") as run:
        for path in (tmp_path / "in.txt", tmp_path / "in.txt", store):
            assert run.add_input(path) == path
        with pytest.raises(InputError, match="no such file"):
            run.add_input(tmp_path / "none")
    first, second = read_manifest(tmp_path / "a")["inputs"]
    assert first["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert first["size"] == second["size"] == 3
    (store / "c" / "0").rename(store / "c" / "1")
    assert describe_input(store)["sha256"] != second["sha256"]


def test_versions_follow_extras_and_requirements() -> None:
    found = versions("esai-core")
    assert next(iter(found)) == "esai-core"
    assert {"numpy", "pandas", "python-dateutil"} <= set(found)
    assert "tensorflow" not in found
    assert versions("no-such-thing").keys() >= {"esai-core"}


def test_metrics_are_plain_and_ordered() -> None:
    made = check_metrics(
        {
            "timings_s": {},
            **METRICS,
            "by_lead": {np.int64(1): {"mlr": {"rmse": np.float32(0.5), "acc": None}}},
            "cells": np.int32(4),
            "kkt_max": np.array(1e-5),
            "years": np.array([1, 2]),
        }
    )
    assert next(iter(made)) == "schema_version"
    assert list(made)[-1] == "timings_s"
    assert made["by_lead"] == {"1": {"mlr": {"rmse": 0.5, "acc": None}}}
    assert (made["cells"], made["kkt_max"], made["years"]) == (4, 1e-5, [1, 2])
    json.dumps(made, allow_nan=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"delivered": "ml"}, "did you mean 'mlr'"),
        ({"delivered": None}, "need 'delivered'"),
        ({"split": None}, "need 'split'"),
        ({"scores": {"mlr": {"rmse": math.nan}}}, "scores.mlr.rmse is nan"),
        ({"scores": {"mlr": {"rmse": np.float64("inf")}}}, "scores.mlr.rmse is inf"),
        ({"scores": {"mlr": {"rmse": "0.4"}}}, "no number"),
        ({"scores": {"mlr": 0.4}}, "scores.mlr"),
        ({"scores": {}}, "'scores'"),
        ({"by_lead": {"1": {}}}, "by_lead.1"),
        ({"by_lead": [1]}, "by_lead"),
    ],
)
def test_metrics_that_are_refused(change: dict, words: str) -> None:
    with pytest.raises(EsaiError, match=words.replace(".", r"\.")):
        check_metrics(METRICS | change)


def test_history_keeps_its_columns_and_bits(tmp_path: Path) -> None:
    loss = 0.1 + 0.2
    with RunFolder.create(tmp_path / "a") as run:
        run.add_history({"epoch": 1, "loss": np.float64(loss), "val_loss": None})
        run.add_history({"epoch": 2, "loss": 0.25, "val_loss": 0.5})
        with pytest.raises(EsaiError, match="columns"):
            run.add_history({"epoch": 3})
    rows = read_history(tmp_path / "a" / "history.csv")
    assert rows == [{"epoch": 1, "loss": loss, "val_loss": None}, {"epoch": 2, "loss": 0.25, "val_loss": 0.5}]
    with pytest.raises(InputError, match="no such file"):
        read_history(tmp_path / "none.csv")
