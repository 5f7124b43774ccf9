"""The jobs of ``esai-core`` through its command line, from the demo to the report."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from esai_core.__main__ import main
from esai_core.explain import Drivers
from esai_core.runs import digest, read_metrics
from esai_core.testing import assert_light_cli, run_cli

FILES = {
    "gapfill": {"filled.nc", "verification.nc", "model/network.keras", "model/choice.json", "drivers.json"},
    "nextframe": {
        "forecast.nc",
        "model/convlstm.keras",
        "model/unet.keras",
        "model/damping.npz",
        "drivers.json",
        "model/choice.json",
    },
}


def test_help_is_light():
    assert_light_cli("esai_core", module="esai_core.__main__", verbs=["gapfill run", "nextframe"])


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """Both demos, each run once."""
    folder = tmp_path_factory.mktemp("demos")
    done = {task: run_cli(main, [task, "demo", "--out", folder / task]) for task in FILES}
    return folder, done


@pytest.mark.parametrize("task", list(FILES))
def test_the_demo_beats_its_baselines_and_ends_by_naming_its_report(demos, task):
    folder, done = demos
    assert done[task].code == 0, done[task].err
    assert done[task].last == str(folder / task / "report.html")
    written = {
        path.relative_to(folder / task).as_posix() for path in (folder / task).rglob("*") if path.is_file()
    }
    own = {"config.toml", "manifest.json", "metrics.json", "history.csv", "report.html"}
    assert written == FILES[task] | own
    metrics = read_metrics(folder / task)
    scores = {name: one["rmse"] for name, one in metrics["scores"].items()}
    networks = {"gapfill": {"network"}, "nextframe": {"convlstm", "unet", "mean"}}[task]
    assert metrics["delivered"] in networks
    assert scores[metrics["delivered"]] < 0.97 * min(
        value for name, value in scores.items() if name not in networks
    )
    page = (folder / task / "report.html").read_text()
    assert "How sure is it" in page


def test_filled_keeps_what_was_observed_and_bounds_what_was_not(demos):
    folder, _ = demos
    given = xr.open_dataset(folder / "gapfill-inputs" / "field.nc", engine="netcdf4")["sst"].load()
    filled = xr.open_dataset(folder / "gapfill" / "filled.nc", engine="netcdf4").load()
    observed = given.notnull()
    np.testing.assert_allclose(filled["sst"].where(observed), given, atol=1e-5)
    land = ~observed.any("time")
    assert bool(filled["sst"].notnull().where(~land, True).all())
    assert bool(filled["sst"].isnull().where(land, True).all())
    inside = (filled["sst_lower"] < filled["sst"]) & (filled["sst"] < filled["sst_upper"])
    assert bool(inside.where(~observed & ~land, True).all())
    coverage = read_metrics(folder / "gapfill")["interval"]["coverage"]
    assert 0.85 <= coverage <= 0.95


def test_a_step_alone_gives_what_the_run_gave(demos, tmp_path):
    folder, _ = demos
    done = run_cli(main, ["gapfill", "evaluate", folder / "gapfill", "--out", tmp_path / "again"])
    assert done.code == 0, done.err
    assert digest(tmp_path / "again")["metrics.json"] == digest(folder / "gapfill")["metrics.json"]


def test_mistakes_are_one_line(tmp_path):
    done = run_cli(main, ["gapfill", "init", "--out", tmp_path / "c.toml"])
    assert done.code == 0, done.err
    wrong = run_cli(
        main, ["gapfill", "run", tmp_path / "c.toml", "--out", tmp_path / "r", "--set", "hide.share=2"]
    )
    assert (wrong.code, "hide.share" in wrong.error) == (2, True)
    missing = run_cli(main, ["nextframe", "run", tmp_path / "none.toml"])
    assert missing.code == 2
    assert json.loads(run_cli(main, ["nextframe", "config", "schema"]).out)["title"] == "NextframeConfig"


def test_the_network_of_a_drifting_field_uses_the_latest_fields(demos):
    folder, _ = demos
    for told in json.loads((folder / "nextframe" / "drivers.json").read_text()):
        importance = dict(zip(told["names"], told["values"], strict=True))
        assert importance["field 0 steps ago"] > importance["field 3 steps ago"]
        assert told["passed"]
    assert "What drives this" in (folder / "nextframe" / "report.html").read_text()


def test_the_network_that_fills_uses_what_is_seen_around_the_gaps(demos):
    folder, _ = demos
    told = Drivers.load(folder / "gapfill" / "drivers.json")
    importance = dict(zip(told.attributions[0].names, told.attributions[0].values, strict=True))
    assert importance["seen of the time"] > 3 * abs(importance["seen 1 before"])
    assert told.check.passed
    assert "What drives this" in (folder / "gapfill" / "report.html").read_text()
