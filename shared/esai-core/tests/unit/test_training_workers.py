"""Who trains with whom: host lists, TF_CONFIG, Slurm, and how a Slurm step would be started."""

from __future__ import annotations

import json

import pytest

from esai_core.errors import EsaiError, InputError, UsageError
from esai_core.training.launch import _failure, count_slurm_tasks
from esai_core.training.strategies import Cluster, cluster_from_environment, expand_hostlist


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("login", ["login"]),
        ("node[01-03,07]", ["node01", "node02", "node03", "node07"]),
        ("as04r1b[09-11],gs02", ["as04r1b09", "as04r1b10", "as04r1b11", "gs02"]),
        ("r[1-2]n[08-09]-ib", ["r1n08-ib", "r1n09-ib", "r2n08-ib", "r2n09-ib"]),
        ("n[9-11]", ["n9", "n10", "n11"]),
        ("n[099-101]", ["n099", "n100", "n101"]),
    ],
)
def test_host_lists_are_those_of_scontrol(text, names):
    assert expand_hostlist(text) == names


@pytest.mark.parametrize("text", ["", "n[1-", "n[3-1]", "n[a-b]", "a,,b", "n]1["])
def test_broken_host_lists_are_named(text):
    with pytest.raises(UsageError):
        expand_hostlist(text)


def test_tf_config_is_read_and_written():
    cluster = Cluster(("a:1", "b:2"), 1)
    assert cluster_from_environment({"TF_CONFIG": cluster.tf_config()}) == cluster
    chief = {"cluster": {"chief": ["c:1"], "worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    assert cluster_from_environment({"TF_CONFIG": json.dumps(chief)}) == Cluster(("c:1", "a:1"), 1)
    alone = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}
    assert cluster_from_environment({"TF_CONFIG": json.dumps(alone)}) is None
    assert cluster_from_environment({}) is None


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}']
)
def test_tf_config_that_makes_no_sense_is_named(text):
    with pytest.raises(UsageError, match="TF_CONFIG"):
        cluster_from_environment({"TF_CONFIG": text})


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "4",
    "SLURM_NTASKS": "5",
    "SLURM_JOB_NODELIST": "gs[01-03]",
    "SLURM_TASKS_PER_NODE": "2(x2),1",
}


def test_tasks_of_a_slurm_step_are_the_workers():
    cluster = cluster_from_environment(SLURM | {"ESAI_PORT": "40000"})
    expected = ("gs01:40000", "gs01:40001", "gs02:40000", "gs02:40001", "gs03:40000")
    assert cluster == Cluster(expected, 4)
    assert cluster_from_environment(SLURM | {"SLURM_NTASKS": "1"}) is None
    outside = {name: value for name, value in SLURM.items() if name != "SLURM_STEP_ID"}
    assert cluster_from_environment(outside) is None


@pytest.mark.parametrize(
    "changed", [{"SLURM_NTASKS": "6"}, {"SLURM_JOB_NODELIST": ""}, {"SLURM_TASKS_PER_NODE": "2(y2)"}]
)
def test_slurm_variables_that_do_not_fit_are_named(changed):
    with pytest.raises(UsageError):
        cluster_from_environment(SLURM | changed)


def test_batch_script_starts_its_tasks_and_a_step_does_not(tmp_path, monkeypatch):
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    batch = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"}
    assert count_slurm_tasks(batch) == 4
    assert count_slurm_tasks(batch | {"SLURM_STEP_ID": "0"}) == 0
    assert count_slurm_tasks(batch | {"SLURM_STEP_ID": "4294967291"}) == 4
    assert count_slurm_tasks({}) == 0


def word(folder, worker, kind, message, time=1.0, **more):
    told = {"kind": kind, "message": message, "where": None, "remedy": None, "time": time} | more
    (folder / f"error-{worker}.json").write_text(json.dumps(told))


def test_failure_is_what_the_first_worker_said_or_how_it_ended(tmp_path):
    assert "worker 1 of 2 was ended by signal 9" in str(_failure(1, -9, 2, tmp_path))
    assert "worker 0 of 1 ended with exit code 7" in str(_failure(0, 7, 1, tmp_path))
    word(tmp_path, 0, "Exception", "UnavailableError: connection reset")
    assert "worker 1 of 2 was ended by signal 9" in str(_failure(1, -9, 2, tmp_path))
    assert "worker 0 of 2 failed: UnavailableError" in str(_failure(0, 1, 2, tmp_path))
    word(tmp_path, 1, "InputError", "no such file", time=2.0, where="a.nc", remedy="name one")
    error = _failure(0, 1, 2, tmp_path)
    assert isinstance(error, InputError)
    assert str(error) == "no such file (a.nc); name one"
    assert isinstance(_failure(1, 1, 2, tmp_path), EsaiError)
