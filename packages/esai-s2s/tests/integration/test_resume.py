"""A run that was killed goes on with the chunks that are not done, and ends with the same numbers."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.config import load_config, validate_config
from esai_core.errors import EsaiError
from esai_core.runs import RunFolder
from esai_core.testing import run_cli
from esai_s2s import S2sConfig, crossval
from esai_s2s.checkpoints import keep_matching
from esai_s2s.cli import main
from esai_s2s.streaming import Chunk

CONFIG = """\
models = ["raw", "logistic", "boosting", "ensemble"]
[data]
variables = ["t2m"]
chunk_cells = 12
[data.synthetic]
spacing = 30
years = 5
members = 3
sea = true
[edges]
group = "month"
window = 1
[split]
test = 2003
inner = 2
[model]
rounds = 5
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "globe.toml"
    path.write_text(CONFIG)
    return path


def test_a_killed_run_goes_on_to_the_same_numbers(config: Path, tmp_path: Path) -> None:
    words = ["run", str(config), "--out", str(tmp_path / "killed")]
    process = subprocess.Popen([sys.executable, "-m", "esai_s2s.cli", *words], stderr=subprocess.DEVNULL)
    left = tmp_path / ".killed.partial" / "checkpoints"
    limit = time.monotonic() + 120
    while len(list(left.glob("parts/t2m/0*.npz"))) < 2 and process.poll() is None:
        assert time.monotonic() < limit
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    done = run_cli(main, [*words, "--resume"])
    assert done.code == 0, done.err
    assert " chunks were fitted before the interruption" in done.err
    assert not (tmp_path / "killed" / "checkpoints").exists()
    whole = run_cli(main, ["run", config, "--out", tmp_path / "whole"])
    assert whole.code == 0, whole.err
    for name in ("forecast.nc", "verification/t2m_14d/003.nc"):
        with (
            xr.open_dataset(tmp_path / "killed" / name, engine="netcdf4") as one,
            xr.open_dataset(tmp_path / "whole" / name, engine="netcdf4") as other,
        ):
            xr.testing.assert_equal(one, other)


def test_a_chunk_or_tree_that_is_done_is_not_fitted_again(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = validate_config({**_table(config), "models": ["logistic", "ensemble"]}, S2sConfig)
    arguments = (settings, Chunk("t2m", 2, 2, 3, 12), tmp_path / "work", tmp_path / "model", 1)
    first = crossval.fit_chunk(*arguments)
    (tmp_path / "trees" / "0_-1").mkdir(parents=True)

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("the data were opened again")

    monkeypatch.setattr(crossval, "open_samples", opened)
    monkeypatch.setattr(crossval.Sample, "load", opened)
    again = crossval.fit_chunk(*arguments)
    crossval.fit_pooled(settings, tmp_path / "pool.npz", tmp_path / "trees", 0, -1, 1)
    assert [part.cells for part in again] == [12, 12]
    for one, other in zip(first, again, strict=True):
        assert len(one.grams) == len(other.grams) == 1
        np.testing.assert_array_equal(other.grams[0].matrices, one.grams[0].matrices)
        np.testing.assert_array_equal(other.grams[0].mass, one.grams[0].mass)


def _table(path: Path) -> dict:
    return load_config(path, S2sConfig).model_dump()


@pytest.mark.parametrize("changed", ["nothing", "input", "config"])
def test_what_was_made_from_other_inputs_or_another_config_is_dropped(
    config: Path, tmp_path: Path, changed: str
) -> None:
    settings = load_config(config, S2sConfig)
    source = tmp_path / "input.nc"
    source.write_text("before")

    def begin(given: S2sConfig, *, resume: bool) -> None:
        """Begin, note whether an earlier chunk is there, and stop after one chunk."""
        with RunFolder.create(tmp_path / "run", package="esai-s2s", command=(), resume=resume) as run:
            assert run.resume == resume
            run.add_input(source)
            keep_matching(given, run)
            path = run.checkpoints / "parts" / "t2m" / "000.npz"
            left.append((path.exists(), run.has("verification")))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            run.path("verification/t2m_14d/000.nc").touch()
            raise EsaiError("interrupted")

    left: list[tuple[bool, bool]] = []
    with pytest.raises(EsaiError, match="interrupted"):
        begin(settings, resume=False)
    if changed == "input":
        source.write_text("after")
    other = settings.model_copy(update={"seed": 1}) if changed == "config" else settings
    with pytest.raises(EsaiError, match="interrupted"):
        begin(other, resume=True)
    kept = changed == "nothing"
    assert left == [(False, False), (kept, kept)]
