"""Run folders, models, configs and data from strangers: each attack is refused with one clear line."""

from __future__ import annotations

import io
import json
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from esai_toy.cli import main

from esai_core import glm
from esai_core.errors import InputError
from esai_core.io import open_dataset
from esai_core.report import Report
from esai_core.testing import attack_files, run_cli
from esai_core.training.files import read_checkpoint
from esai_core.transforms import QuantileCategories, Standardiser


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    """A place that exists only if an attack worked."""
    return tmp_path / "code-was-run"


@pytest.fixture
def run(tmp_path: Path, toy_config: Path) -> Path:
    """A run folder in which everything was done."""
    assert run_cli(main, ["run", toy_config, "--out", tmp_path / "run"]).code == 0
    return tmp_path / "run"


def refused(arguments: list[Any], *said: str, code: int) -> None:
    done = run_cli(main, [*arguments, "-q"])
    assert (done.code, done.err.count("\n")) == (code, 1), done.err
    for text in said:
        assert text in done.err


KINDS = ("a pickle", "pickled arrays", "another's", "no archive")
HELD = ("line", "json", "head", "__meta__")


LOADERS: dict[str, Callable[[Path], Any]] = {
    "glm": glm.load,
    "checkpoint": read_checkpoint,
    "standardiser": Standardiser.load,
    "categories": QuantileCategories.load,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS.keys())
def test_a_planted_model_runs_nothing(
    tmp_path: Path, proof: Path, kind: str, load: Callable[[Path], Any]
) -> None:
    path = tmp_path / "model.npz"
    path.write_bytes(attack_files(proof, *HELD)[kind])
    with pytest.raises(InputError) as refusal:
        load(path)
    assert "model.npz" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not proof.exists()


def test_the_attacks_are_real(tmp_path: Path, proof: Path) -> None:
    files = attack_files(proof, *HELD)
    np.load(io.BytesIO(files["pickled arrays"]), allow_pickle=True)["line"]
    assert proof.exists()
    proof.rmdir()
    pickle.loads(files["a pickle"])
    assert proof.exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_model_in_a_run_folder_runs_nothing(run: Path, proof: Path, kind: str) -> None:
    (run / "model/line.npz").write_bytes(attack_files(proof, *HELD)[kind])
    said = "this model file is not the one that the run made"
    refused(["predict", run], said, "run/model/line.npz", code=3)
    assert not proof.exists()


def test_a_model_of_another_run_is_refused(run: Path) -> None:
    np.savez(run / "model/line.npz", line=np.array([7.0, 7.0]))
    said = "this model file is not the one that the run made"
    refused(["predict", run], said, "model/line.npz", "train again", code=3)


def test_a_run_folder_of_another_package_is_refused(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"package": "esai-other"}))
    refused(["predict", run], "made by esai-other", code=2)


@pytest.mark.parametrize("name", ["../victim", "../victim/thesis.tex", "model/../../victim"])
def test_a_manifest_cannot_have_files_elsewhere_removed(run: Path, name: str) -> None:
    victim = run.parent / "victim" / "thesis.tex"
    victim.parent.mkdir()
    victim.write_text("years of work")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["outputs"][name] = {"step": "report", "sha256": None}
    (run / "manifest.json").write_text(json.dumps(manifest))
    refused(["evaluate", run], "outputs stay in the run folder", name, code=2)
    assert victim.read_text() == "years of work"
    absolute = manifest["outputs"].pop(name)
    manifest["outputs"][str(victim)] = absolute
    (run / "manifest.json").write_text(json.dumps(manifest))
    refused(["evaluate", run], "outputs stay in the run folder", code=2)
    assert victim.read_text() == "years of work"


@pytest.mark.parametrize("name", ["metrics.json", "model"])
def test_a_link_in_a_run_folder_is_not_written_through(run: Path, name: str) -> None:
    victim = run.parent / "victim"
    shutil.move(run / name, victim)
    before = victim.read_bytes() if victim.is_file() else sorted(victim.rglob("*"))
    (run / name).symlink_to(victim)
    refused(["evaluate", run], "the run folder holds a link", name, code=2)
    assert (victim.read_bytes() if victim.is_file() else sorted(victim.rglob("*"))) == before


def test_the_config_of_a_run_folder_cannot_climb_out_of_it(run: Path, toy_config: Path) -> None:
    secret = run.parent / "secret.csv"
    shutil.copy(toy_config.parent / "points.csv", secret)
    climbs = '[data]\npoints = "../secret.csv"\n'
    (run / "config.toml").write_text(climbs)
    for arguments in (["predict", run], ["run", run / "config.toml", "--out", run.parent / "x"]):
        refused(arguments, "data.points", "../secret.csv leads out of the run folder", code=2)
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["steps"][0]["config"] = climbs
    (run / "manifest.json").write_text(json.dumps(manifest))
    refused(["rerun", run], "data.points", "../secret.csv leads out of the run folder", code=2)
    typed = ["predict", run, "--set", "data.points=../secret.csv"]  # typed by the user it may
    assert run_cli(main, typed, cwd=toy_config.parent).code == 0


def test_a_config_of_the_user_may_name_data_beside_its_folder(tmp_path: Path, toy_config: Path) -> None:
    (tmp_path / "data").mkdir()
    shutil.move(toy_config.parent / "points.csv", tmp_path / "data" / "points.csv")
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "mine.toml").write_text('[data]\npoints = "../data/points.csv"\n')
    done = run_cli(main, ["run", configs / "mine.toml", "--out", tmp_path / "x"])
    assert done.code == 0, done.err
    assert run_cli(main, ["rerun", tmp_path / "x"]).code == 0


@pytest.mark.parametrize("version", ["2", "0", "99"])
def test_a_config_of_another_version_is_refused(tmp_path: Path, toy_config: Path, version: str) -> None:
    toy_config.write_text(f'schema_version = {version}\n[data]\npoints = "points.csv"\n')
    said = f"config has schema_version {version}"
    refused(["run", toy_config, "--out", tmp_path / "x"], said, "this version reads 1", code=2)


def test_a_manifest_of_another_version_is_refused(run: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 2}))
    refused(["predict", run], "manifest of version 2", code=2)


def test_script_in_attributes_is_shown_as_text(tmp_path: Path) -> None:
    attack = '<script>fetch("https://evil.example")</script><img src=x onerror=alert(1)>"\'>'
    field = xr.DataArray(np.zeros(3), dims="x", attrs={"long_name": attack, "units": attack}, name=attack)
    link = f"[a link](javascript:alert(1)) **{attack}**"
    report = Report(field.attrs["long_name"], field.attrs["units"]).headline(link)
    report.section(attack, link).table([{attack: attack}], caption=attack)
    page = report.html()
    assert "<script" not in page
    assert "<img src=x" not in page
    assert 'href="javascript' not in page
    assert page.count("&lt;script&gt;") >= 6
    assert "default-src 'none'" in page


@pytest.mark.parametrize("place", ["array", "consolidated"])
def test_pickled_chunks_are_refused(tmp_path: Path, proof: Path, place: str) -> None:
    pytest.importorskip("zarr")
    store = tmp_path / "store.zarr"
    field = xr.Dataset({"t2m": (("x",), np.arange(3.0))})
    field.to_zarr(store, zarr_format=2, consolidated=place == "consolidated")
    meta = store / (".zmetadata" if place == "consolidated" else "t2m/.zarray")
    found = json.loads(meta.read_text())
    array = found["metadata"]["t2m/.zarray"] if place == "consolidated" else found
    array |= {"dtype": "|O", "filters": [{"id": "vlen-utf8"}], "compressor": {"id": "pickle"}}
    meta.write_text(json.dumps(found).replace('"pickle"', '"p\\u0069ckle"'))
    (store / "t2m" / "0").write_bytes(attack_files(proof)["a pickle"])
    with pytest.raises(InputError, match="the store holds pickled chunks, which could run code"):
        open_dataset(store, standard=False)
    assert not proof.exists()


def test_a_keras_file_runs_nothing_and_writes_nowhere_else(tmp_path: Path, proof: Path) -> None:
    pytest.importorskip("keras")
    import keras

    from esai_core.nn import files

    bomb = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x)])
    path = tmp_path / "model.keras"
    bomb.save(path)
    with pytest.raises(InputError, match=r"model\.keras"):
        files.load(path)
    files.save(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), path)
    for name in ("../climbed.txt", "assets/../../climbed.txt", "/climbed.txt"):
        shutil.copyfile(path, tmp_path / "other.keras")
        with zipfile.ZipFile(tmp_path / "other.keras", "a") as archive:
            archive.writestr(name, "x")
        with pytest.raises(InputError, match=rf"{re.escape(name)} leads out of the archive"):
            files.load(tmp_path / "other.keras")
    assert not list(tmp_path.parent.rglob("climbed.txt"))
    for content in (attack_files(proof)["a pickle"], b"\x89HDF\r\n\x1a\n" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not a \.keras file"):
            files.load(path)
    with pytest.raises(InputError, match=r"not a \.keras file"):
        files.load(path.rename(tmp_path / "model.h5"))
    assert not proof.exists()
