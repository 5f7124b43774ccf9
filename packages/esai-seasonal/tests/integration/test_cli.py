"""The command line on files: steps together and one by one, the contract of the outputs, repeated runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from esai_core.explain import Drivers
from esai_core.io import write_netcdf
from esai_core.runs import read_history
from esai_core.runs.digests import digest
from esai_core.testing import assert_light_cli, open_in_browser, run_cli
from esai_seasonal.cli import main
from esai_seasonal.config import TEMPLATE


def test_help_is_light() -> None:
    assert_light_cli("esai_seasonal")


def test_steps_one_by_one_give_what_run_gives(toy, tmp_path: Path) -> None:
    out = tmp_path / "steps"
    assert run_cli(main, ["train", toy.config, "--out", out]).code == 0
    for verb in ("predict", "evaluate", "report"):
        done = run_cli(main, [verb, out])
        assert done.code == 0, done.err
    assert done.last == str(out / "report.html")
    ours, whole = (digest(folder) for folder in (out, toy.run))
    assert ours == whole


def test_rerun_gives_the_same_digests(toy) -> None:
    done = run_cli(main, ["rerun", toy.run])
    assert done.code == 0, done.out + done.err


def test_what_is_worked_through_in_blocks_is_what_fits_into_memory(toy, tmp_path: Path, monkeypatch) -> None:
    """A hindcast too large once interpolated: lazy from there to the written file, with the same numbers."""
    written = []
    monkeypatch.setattr("esai_seasonal.data.BLOCK_BYTES", 1 << 10)
    monkeypatch.setattr(
        "esai_seasonal.forecasting.write_netcdf",
        lambda ensemble, path, **options: (
            written.append(ensemble.chunks), write_netcdf(ensemble, path, **options)
        )[1],
    )  # fmt: skip
    done = run_cli(main, ["run", toy.config, "--out", tmp_path / "blocks"])
    assert done.code == 0, done.err
    assert len(written[0]["latitude"]) > 1  # several blocks of latitudes reach the file
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path / "blocks", toy.run)]
    assert metrics[0]["delivered"] == metrics[1]["delivered"]
    for name, row in metrics[1]["scores"].items():
        assert metrics[0]["scores"][name] == pytest.approx(row, rel=1e-5, abs=1e-9), name
    ours, whole = (xr.load_dataset(folder / "forecast.nc") for folder in (tmp_path / "blocks", toy.run))
    xr.testing.assert_allclose(ours["t2m"], whole["t2m"], rtol=1e-6)
    xr.testing.assert_allclose(ours, whole, rtol=1e-5)  # errors in units of a spread, in single precision


def test_metrics_follow_the_contract(toy) -> None:
    metrics = json.loads((toy.run / "metrics.json").read_text())
    assert metrics["schema_version"] == 1
    assert metrics["split"] == {"train": [1981, 1990], "validate": [1991, 1993], "test": [1994, 1996]}
    assert set(metrics["scores"]) == {"raw", "climatology", "mean_bias", "eqm", "mlr"}
    assert metrics["delivered"] in metrics["scores"]
    for row in metrics["scores"].values():
        assert set(row) == {"rmse", "crps", "crps_fair", "bias", "acc", "spread_skill"}
    assert set(metrics["by_lead"]) == {"1", "2"}
    assert set(metrics["by_month"]) == {"1", "7"}
    assert {"open", "check", "split", "fit", "predict", "verify", "write"} <= set(metrics["timings_s"])


def test_the_ensemble_is_cf(toy) -> None:
    metrics = json.loads((toy.run / "metrics.json").read_text())
    with xr.open_dataset(toy.run / "forecast.nc", engine="netcdf4") as ds:
        assert ds.attrs["Conventions"] == "CF-1.11"
        assert ds.attrs["method"] == metrics["delivered"]
        assert ds["t2m"].dims == ("start", "lead", "number", "latitude", "longitude")
        assert ds["t2m"].attrs["units"] == "K"
        assert ds["number"].attrs["standard_name"] == "realization"
        assert ds["start"].attrs["standard_name"] == "forecast_reference_time"
        assert ds["valid_time"].dims == ("start", "lead")
        assert ds.sizes["start"] == 6
        assert set(ds["start"].dt.year.values) == {1994, 1995, 1996}
        assert ds["t2m"].notnull().all()


def test_scores_are_those_of_the_written_file(toy) -> None:
    metrics = json.loads((toy.run / "metrics.json").read_text())
    with (
        xr.open_dataset(toy.run / "forecast.nc", engine="netcdf4") as ds,
        xr.open_dataset(toy.folder / "reference.nc", engine="netcdf4") as reference,
    ):
        truth = reference["t2m"].sel(time=ds["valid_time"])
        error = ds["t2m"].mean("number") - truth
        weights = np.cos(np.deg2rad(ds["latitude"]))
        rmse = float((error**2).weighted(weights).mean() ** 0.5)
    assert metrics["scores"][metrics["delivered"]]["rmse"] == pytest.approx(rmse, rel=1e-4)


def test_predict_new_starts_that_have_no_truth(toy, tmp_path: Path) -> None:
    with xr.open_dataset(toy.folder / "hindcast.nc", engine="netcdf4") as ds:
        last = ds.isel(forecast_reference_time=slice(-2, None)).load()
    stamps = last["forecast_reference_time"].values.astype("datetime64[M]") + np.timedelta64(20 * 12, "M")
    wide = xr.concat([last, last + 0.1], "number").assign_coords(number=np.arange(10))  # a larger ensemble
    wide = wide.assign_coords(forecast_reference_time=stamps.astype("datetime64[ns]"))
    wide["t2m"].attrs["units"] = "K"
    wide["forecastMonth"].attrs = last["forecastMonth"].attrs
    wide.drop_encoding().to_netcdf(tmp_path / "new.nc", engine="netcdf4")
    new = f"data.forecast={tmp_path / 'new.nc'}"
    done = run_cli(main, ["predict", toy.run, "--out", tmp_path / "out", "--set", new])
    assert done.code == 0, done.err
    with xr.open_dataset(tmp_path / "out" / "forecast.nc", engine="netcdf4") as ds:
        assert ds.sizes["start"] == 2
        assert ds["start"].dt.year.values[-1] == 2016
    unscored = run_cli(main, ["evaluate", tmp_path / "out"])
    assert unscored.code == 3
    assert "no common years" in unscored.error


def test_static_fields_may_be_left_out_or_given(toy, tmp_path: Path) -> None:
    more = [
        f"data.static_fine={toy.folder / 'static_fine.nc'}",
        f"data.static_coarse={toy.folder / 'static_coarse.nc'}",
    ]
    words = [w for item in more for w in ("--set", item)]
    done = run_cli(main, ["train", toy.config, "--out", tmp_path / "with", *words])
    assert done.code == 0, done.err
    wrong = run_cli(
        main,
        [
            "train",
            toy.config,
            "--out",
            tmp_path / "x",
            "--set",
            f"data.static_fine={toy.folder / 'static_coarse.nc'}",
        ],
    )
    assert wrong.code == 3
    assert "another grid" in wrong.error


def test_networks_are_trained_opposed_saved_and_repeated(toy, tmp_path: Path) -> None:
    quick = ["model.networks=1", "train.epochs=2", "model.adversarial=true", "adversarial.epochs=1"]
    words = [w for item in ("model.network=true", *quick) for w in ("--set", item)]
    done = run_cli(main, ["run", toy.config, "--out", tmp_path / "net", *words])
    assert done.code == 0, done.err
    metrics = json.loads((tmp_path / "net" / "metrics.json").read_text())
    assert metrics["scores"]["network"] != metrics["scores"]["adversarial"]
    validation = {m: row["crps"] for m, row in metrics["selection"]["validation"].items()}
    best = min((m for m in validation if m not in ("network", "adversarial")), key=validation.get)
    wins = validation["adversarial"] < validation[best]
    assert metrics["delivered"] == ("adversarial" if wins else min(validation, key=validation.get))
    assert not list((tmp_path / "net").rglob("*.pkl"))
    with np.load(tmp_path / "net" / "models" / "network" / "adversarial" / "network.npz") as saved:
        assert any(name.startswith("opposed_0/") for name in saved)  # the discriminator is kept too
    again = run_cli(main, ["rerun", tmp_path / "net"])
    assert again.code == 0, again.out
    realism = metrics["realism"]["power_ratio"]  # judged by roughness and spread, delivered or not
    assert {"raw", "network", "adversarial", metrics["delivered"]} == set(realism)
    with xr.open_dataset(tmp_path / "net" / "verification.nc") as found:
        power = found["spectrum"].where(found["wavenumber"] > found["wavenumber"].max() / 2)
        rough = power.sum("wavenumber") / power.sel(field="reference").sum()
    for name, ratio in realism.items():
        assert ratio == pytest.approx(float(rough.sel(field=name)), rel=1e-4)
    assert metrics["scores"]["adversarial"]["spread_skill"] > 0
    text = (tmp_path / "net" / "report.html").read_text()
    assert ">Realism<" in text
    assert ("did not win" in text) == (metrics["delivered"] not in ("network", "adversarial"))


def steps_done(run: Path) -> int:
    found = list(run.glob("*/train/network_0/checkpoint.npz"))
    return json.loads(str(np.load(found[0])["__meta__"]))["step"] if found else 0


def test_a_killed_worker_ends_the_job_and_a_resumed_run_is_the_whole_one(toy, tmp_path: Path) -> None:
    """Two workers through the command line, one of them killed; one process goes on from the checkpoint."""
    quick = ("model.network=true", "model.networks=1", "train.epochs=60", "train.checkpoint_every=1")
    words = ["train", str(toy.config), *(w for item in quick for w in ("--set", item))]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run_cli(main, [*words, "--out", whole]).code == 0
    command = [sys.executable, "-c", "import sys; from esai_seasonal.cli import main; sys.exit(main())"]
    with subprocess.Popen(
        [*command, *words, "--out", str(cut), "--workers", "2"], stderr=subprocess.PIPE, text=True
    ) as job:
        children = Path(f"/proc/{job.pid}/task/{job.pid}/children")
        deadline = time.monotonic() + 240
        while steps_done(tmp_path / ".cut.partial") < 20:  # the first third of the curve is theirs
            assert job.poll() is None, job.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(int(children.read_text().split()[1]), signal.SIGKILL)
        killed = time.monotonic()
        _, said = job.communicate(timeout=90)
    assert time.monotonic() - killed < 60
    assert (job.returncode, "was ended by signal 9" in said) == (1, True), said
    done = run_cli(main, [*words, "--out", cut, "--resume"])
    assert done.code == 0, done.err
    losses = [[row["loss"] for row in read_history(folder / "history.csv")] for folder in (cut, whole)]
    np.testing.assert_allclose(*(np.array(x, dtype=float) for x in losses), rtol=1e-5)


def test_init_writes_a_config_that_checks(toy, tmp_path: Path) -> None:
    done = run_cli(main, ["init", "--out", tmp_path / "new.toml"], cwd=tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "new.toml").read_text() == TEMPLATE
    for name in ("hindcast.nc", "reference.nc"):
        shutil.copy(toy.folder / name, tmp_path / name)
    assert run_cli(main, ["config", "check", tmp_path / "new.toml"]).code == 0


def test_fetch_prints_the_requests(toy) -> None:
    done = run_cli(main, ["fetch", toy.config, "--dry-run"])
    assert done.code == 0, done.err
    asked = json.loads(done.out)
    assert [r["dataset"] for r in asked] == [
        "seasonal-monthly-single-levels",
        "reanalysis-era5-single-levels-monthly-means",
        "seasonal-original-single-levels",
        "reanalysis-era5-single-levels-monthly-means",
    ]
    assert asked[0]["body"]["year"][0] == "1981"
    assert asked[0]["body"]["year"][-1] == "1996"
    assert asked[0]["body"]["variable"] == ["2m_temperature"]
    north, west, south, east = asked[0]["body"]["area"]
    assert (north, west, south, east) == (38.0, -9.0, 36.0, -6.0)


def test_the_chain_corrects_and_refines(toy, tmp_path: Path) -> None:
    words = ["model.network=true", "model.design=chain", "model.networks=1", "train.epochs=2"]
    sets = [w for item in words for w in ("--set", item)]
    done = run_cli(main, ["run", toy.config, "--out", tmp_path / "chain", *sets])
    assert done.code == 0, done.err
    scores = json.loads((tmp_path / "chain" / "metrics.json").read_text())["scores"]
    assert scores["network"]["rmse"] < scores["raw"]["rmse"]
    again = run_cli(main, ["evaluate", tmp_path / "chain"])
    assert again.code == 0, again.err
    assert json.loads((tmp_path / "chain" / "metrics.json").read_text())["scores"] == scores


def test_the_report_opens_offline_without_errors(toy) -> None:
    page = open_in_browser(toy.run / "report.html")
    assert page.requests == []
    assert page.console == []
    text = (toy.run / "report.html").read_text()
    for title in (
        "Scores",
        "Maps",
        "By lead and month",
        "Skill against each method",
        "Reliability",
        "Spectra",
    ):
        assert f">{title}<" in text


def test_every_public_name_is_there() -> None:
    import esai_seasonal

    for name in esai_seasonal.__all__:
        assert getattr(esai_seasonal, name) is not None


def test_the_forecast_carries_its_interval_and_the_report_its_reasons(toy) -> None:
    metrics = json.loads((toy.run / "metrics.json").read_text())
    assert set(metrics["interval"]) == {"all", "lead 1", "lead 2"}
    assert 0.7 <= metrics["interval"]["all"]["coverage"] <= 1.0  # six starts
    with xr.open_dataset(toy.run / "forecast.nc", engine="netcdf4") as ds:
        assert ds["t2m"].attrs["ancillary_variables"] == "t2m_lower t2m_upper"
        assert ds["t2m_lower"].dims == ("start", "lead", "latitude", "longitude")
        assert bool((ds["t2m_lower"] < ds["t2m"].mean("number")).all())
        assert "90 %" in ds["t2m_upper"].attrs["long_name"]
    told = Drivers.load(toy.run / "models" / "drivers.json")
    assert [set(one.by) for one in told.attributions] == [{"lead 1", "lead 2"}, {"Jan", "Jul"}]
    page = (toy.run / "report.html").read_text("utf-8")
    assert "How sure is it" in page
    assert "What drives this" in page
