"""Work over cells on a dask cluster of two processes: the numbers of NumPy arrays, and what can go wrong."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import dask
import dask.array as da
import dask_jobqueue  # noqa: F401 - its defaults must be in the configuration before a test changes it
import distributed
import numpy as np
import pytest
import xarray as xr
from esai_toy.job import JOB

from esai_core import cli, cluster, glm, verify
from esai_core.config import Config
from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.grid import Grid, regrid
from esai_core.runs import RunFolder
from esai_core.testing import Result, run_cli
from esai_core.transforms import Anomaliser, QuantileCategories

RNG = np.random.default_rng(5)
DIMS = ("start", "number", "latitude", "longitude")


def run_step_that_tells_where(folder: Path, config: Path, *words: str) -> Result:
    """Run a job whose step says, with an error, whether dask computed in this process."""

    def train(config: Config, run: RunFolder) -> None:
        where = da.ones(4, chunks=2).map_blocks(lambda block: block * os.getpid()).compute()
        raise InputError("computed here" if (where == os.getpid()).all() else "computed elsewhere")

    job = dataclasses.replace(JOB, cluster=True, train=train)
    return run_cli(lambda given: cli.main(job, given), ["run", config, "--out", folder / "a", *words])


def test_a_wrong_name_stops_a_job_and_without_one_it_computes_here(tmp_path: Path, toy_config: Path) -> None:
    wrong = run_step_that_tells_where(tmp_path, toy_config, "--cluster", "local")
    assert (wrong.code, "give local:N" in wrong.err) == (2, True)
    here = run_step_that_tells_where(tmp_path, toy_config)
    assert (here.code, "computed here" in here.err) == (3, True), here.err


@pytest.fixture(scope="module")
def two_processes():
    with cluster.connect("local:2") as client:
        yield client


def series() -> tuple[xr.DataArray, xr.DataArray]:
    coords = {
        "start": np.arange("1990-01", "1994-01", dtype="datetime64[M]").astype("datetime64[ns]"),
        "latitude": np.linspace(36.0, 43.0, 8),
        "longitude": np.linspace(-9.0, 3.0, 12),
    }
    forecast = xr.DataArray(RNG.normal(size=(48, 5, 8, 12)), dims=DIMS, coords=coords)
    truth = forecast.mean("number") + xr.DataArray(RNG.normal(size=(48, 8, 12)), dims=(DIMS[0], *DIMS[2:]))
    return forecast.where(forecast["latitude"] < 42.5), truth  # a row of cells without forecast


def results(forecast: xr.DataArray, truth: xr.DataArray) -> dict[str, xr.DataArray | xr.Dataset]:
    """Work over cells of every kind that the core has."""
    mean = forecast.mean("number").fillna(0.0)
    wet = (truth > 0).astype(float)
    design = mean.expand_dims(feature=1)
    fitted = glm.fit_dataset(design, wet, family="binomial", sample="start", penalty=0.01)
    anomalies = Anomaliser.fit(truth, time="start", group=None, trend=True)
    terciles = QuantileCategories.fit(truth, time="start", group=None)
    return {
        "rmse": verify.rmse(mean, truth, dim="start"),
        "acc": verify.acc(mean, truth, climatology=xr.zeros_like(truth[0], float), dim="start"),
        "crps_fair": verify.crps_fair(forecast, truth, dim="start"),
        "glm": fitted[["intercept", "coef", "deviance"]],
        "regrid": regrid(truth, Grid(np.linspace(36.0, 42.0, 5), np.linspace(-8.0, 2.0, 7))),
        "level": anomalies.level,
        "terciles": terciles.transform(truth),
    }


def test_numbers_are_those_of_numpy(two_processes) -> None:
    forecast, truth = series()
    expected = results(forecast, truth)
    cut = {"latitude": 3, "longitude": 7}
    got = results(forecast.chunk(cut), truth.chunk(cut))
    pids = set(two_processes.run(os.getpid).values())
    assert len(pids) == 2
    assert os.getpid() not in pids
    for name, one in dask.compute(got)[0].items():
        xr.testing.assert_allclose(one, expected[name], rtol=1e-12, atol=1e-12)


def test_a_scheduler_that_is_up_is_used_and_left_up(two_processes) -> None:
    address = two_processes.scheduler.address
    with cluster.connect(address) as client:
        assert client.submit(os.getpid).result() != os.getpid()
    assert two_processes.submit(abs, -1).result() == 1


def test_workers_that_die_are_told_of_in_one_line(two_processes) -> None:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(EsaiError, match="want of memory"),
        cluster.connect(two_processes.scheduler.address) as client,
    ):
        raise distributed.KilledWorker("x", client.scheduler_info()["workers"].popitem()[1], 0)


def test_nobody_answers(monkeypatch) -> None:
    monkeypatch.setattr(cluster, "TIMEOUT", 0.5)
    with pytest.raises(UsageError, match="no dask workers answer"), cluster.connect("tcp://127.0.0.1:9"):
        pass


def test_slurm_without_its_settings_says_which() -> None:
    with (
        dask.config.set({"jobqueue.slurm.cores": None, "jobqueue.slurm.memory": None}),
        pytest.raises(UsageError, match=r"cores and memory.*jobqueue\.yaml"),
        cluster.connect("slurm:2"),
    ):
        pass


SBATCH = """#!/bin/bash
# A queue of one machine that starts every job at once.
cp "$1" {folder}/job.sh
bash {folder}/job.sh >{folder}/job.log 2>&1 &
echo $! >{folder}/job.pid
echo "Submitted batch job $!"
"""


def test_slurm_jobs_do_the_work_and_are_cancelled(tmp_path: Path, monkeypatch) -> None:
    """Dask-jobqueue with stand-ins for sbatch and scancel: a job's own process computes, and then ends."""
    for name, text in (
        ("sbatch", SBATCH.format(folder=tmp_path)),
        ("scancel", f'#!/bin/bash\necho "$@" >{tmp_path}/cancelled\npkill -TERM -P "$1"\n'),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    asked = {"cores": 1, "processes": 1, "memory": "1GB", "queue": "gp_resa", "account": "bsc00"}
    asked |= {"walltime": "00:05:00", "interface": "lo", "local-directory": str(tmp_path)}
    forecast, truth = series()
    lazy = [x.chunk({"latitude": 3}) for x in (forecast, truth)]
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in asked.items()}):
        with cluster.connect("slurm:1") as client:
            (place,) = client.run(os.getppid).values()
            got = verify.crps_fair(*lazy, dim="start").compute()
        script = (tmp_path / "job.sh").read_text()
    assert place != os.getpid()
    assert {"#SBATCH -p gp_resa", "#SBATCH -A bsc00", "#SBATCH -t 00:05:00"} <= set(script.splitlines())
    xr.testing.assert_allclose(got, verify.crps_fair(forecast, truth, dim="start"))
    assert (tmp_path / "cancelled").read_text() == (tmp_path / "job.pid").read_text()


@pytest.mark.parametrize("text", ["local", "local:0", "locl:2", "slurm:0", "host:8786", ""])
def test_what_names_no_cluster_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="names no cluster"):
        cluster.parse(text)


def test_steps_of_a_job_compute_on_the_cluster(two_processes, tmp_path: Path, toy_config: Path) -> None:
    address = two_processes.scheduler.address
    done = run_step_that_tells_where(tmp_path, toy_config, "--cluster", address)
    assert (done.code, "computed elsewhere" in done.err) == (3, True), done.err
    assert not (tmp_path / "a").exists()
