"""Worker processes for one training: on this host, or on all hosts of a Slurm allocation.

The process that calls `fit` stays the only one that prepares data and writes a run folder. It stores the
model, the data and the loss in a folder, starts the workers, which train together and end, and takes the
result from there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from esai_core import errors, logs
from esai_core.errors import EsaiError, UsageError
from esai_core.nn._keras import keras
from esai_core.nn.files import save
from esai_core.nn.layers import all_layers
from esai_core.training.config import TrainConfig
from esai_core.training.data import Arrays, Source, as_source
from esai_core.training.files import collect, read_checkpoint
from esai_core.training.history import History
from esai_core.training.signals import Interrupted, StopRequest
from esai_core.training.strategies import in_slurm_step

__all__ = ["count_slurm_tasks", "fit_with_workers"]

log = logging.getLogger(__name__)

GRACE = 20.0  # seconds between the request to stop and the end of a process that does not
AFTERMATH = 5.0  # seconds that the others have to report after one has failed

tree = keras.tree


@dataclass(frozen=True)
class _Stored:
    """Arrays in memory, stored in files: the structure with a file name in place of each array."""

    names: Any


def count_slurm_tasks(environment: Mapping[str, str] | None = None) -> int:
    """Count the tasks that a Slurm batch script may start; 0 outside of an allocation, or in a step."""
    environment = os.environ if environment is None else environment
    if "SLURM_JOB_ID" not in environment or in_slurm_step(environment) or not shutil.which("srun"):
        return 0
    return int(environment.get("SLURM_NTASKS", "0"))


def fit_with_workers(
    model: keras.Model,
    train: Any,
    validate: Any | None,
    *,
    loss: Callable[[Any, Any], Any],
    config: TrainConfig,
    folder: Path,
    resume: bool,
    workers: int,
    slurm: bool,
    metrics: Mapping[str, Callable[[Any, Any], Any]] | None = None,
    augment: Callable[..., tuple] | None = None,
    adversary: Any | None = None,
) -> History:
    """Train a model with several worker processes; what `esai_core.training.fit` does for ``workers=N``.

    Raises
    ------
    UsageError
        If something given cannot be sent to another process.
    EsaiError
        If a worker fails or is killed: the others are ended, and the last checkpoint stays.
    Interrupted
        After SIGINT or SIGTERM, once the workers have written a checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    job = Path(tempfile.mkdtemp(prefix=".workers-", dir=folder)).resolve()
    try:
        given = {
            "train": _store(train, job, "train"),
            "validate": None if validate is None else _store(validate, job, "validate"),
            "loss": loss,
            "metrics": dict(metrics or {}),
            "augment": augment,
            "adversary": adversary and dataclasses.replace(adversary, discriminator=None),
        }
        networks = {"model": model} | ({"discriminator": adversary.discriminator} if adversary else {})
        for name, network in networks.items():
            save(network, job / f"{name}.keras")
        _pickle(given, job / "given.pkl")
        description = {
            "config": config.model_dump(mode="json"),
            "folder": str(folder.resolve()),
            "resume": resume,
            "modules": sorted(
                {type(layer).__module__ for network in networks.values() for layer in all_layers(network)}
            ),
            "addresses": [] if slurm else [f"127.0.0.1:{port}" for port in _free_ports(workers)],
            "threads": 0 if slurm else max(1, (os.cpu_count() or 1) // workers),
            "parent": os.getpid(),
            "host": socket.gethostname(),
            "quiet": logs.is_quiet(),
        }
        (job / "job.json").write_text(json.dumps(description), "utf-8")
        log.info("training with %d workers", workers)
        with StopRequest() as stop:
            _watch(_commands(job, workers, slurm), job, stop)
        arrays, meta = read_checkpoint(job / "result.npz")
        model.set_weights(collect(arrays, "weight"))
        return History(meta["rows"], meta["best_epoch"], meta["stopped"], model)
    finally:
        shutil.rmtree(job, ignore_errors=True)


def _store(data: Any, job: Path, name: str) -> _Stored | Source:
    """Put arrays into files, which workers map rather than copy; other sources are sent as they are."""
    source = as_source(data)
    if not isinstance(source, Arrays):
        return source
    names = []
    for number, leaf in enumerate(tree.flatten(source.examples)):
        array = np.asarray(leaf)
        array = array.astype("float32", copy=False) if array.dtype.kind == "f" else array
        names.append(f"{name}-{number}.npy")
        np.save(job / names[-1], array)
    return _Stored(tree.pack_sequence_as(source.examples, names))


def recall(stored: Any, job: Path) -> Any:
    """Map what `_store` put into files."""
    if not isinstance(stored, _Stored):
        return stored
    return tree.map_structure(lambda name: np.load(job / name, mmap_mode="r"), stored.names)


def _pickle(given: dict[str, Any], path: Path) -> None:
    """Write what the workers get; functions that were defined on the spot are written out whole."""
    import pickle

    import cloudpickle

    try:
        path.write_bytes(cloudpickle.dumps(given))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise UsageError(
            f"cannot send this training to worker processes: {error}",
            remedy="use data and a loss without open files or compiled functions, or train without workers",
        ) from error


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _commands(job: Path, workers: int, slurm: bool) -> list[list[str]]:
    worker = [sys.executable, "-m", "esai_core.training.worker", str(job)]
    if slurm:
        return [["srun", f"--ntasks={workers}", "--kill-on-bad-exit=1", "--wait=30", *worker]]
    return [[*worker, "--index", str(index)] for index in range(workers)]


def _watch(commands: list[list[str]], job: Path, stop: StopRequest) -> None:
    """Start processes and wait for them; one that fails ends them all, a request to stop is passed on."""
    with contextlib.ExitStack() as stack:
        processes = []
        for number, command in enumerate(commands):
            # The chief's lines (or those of all tasks of srun) go to our stderr, the others' to files.
            error = None if number == 0 else stack.enter_context((job / f"worker-{number}.log").open("wb"))
            processes.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=error,
                    start_new_session=True,
                )
            )
        try:
            failed = _wait(processes, stop)
        finally:
            for process in processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
    if stop.name is not None:
        raise Interrupted(_interruption(job, stop.name))
    if failed is not None:
        raise _failure(failed, processes[failed].returncode, len(processes), job)


def _wait(processes: list[subprocess.Popen], stop: StopRequest) -> int | None:
    """Wait until all have ended, or those that have not must be killed; give the first that failed."""
    deadline = float("inf")
    passed_on = False
    failed: int | None = None
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        if stop.name is not None and not passed_on:
            passed_on, deadline = True, time.monotonic() + GRACE
            for process in processes:
                process.terminate()
        if failed is None:
            failed = next((number for number, process in enumerate(processes) if process.poll()), None)
            if failed is not None and not passed_on:
                deadline = min(deadline, time.monotonic() + AFTERMATH)
        time.sleep(0.05)
    if failed is None:
        failed = next((number for number, process in enumerate(processes) if process.poll()), None)
    return failed


def _words(job: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read what workers left word of, the first first."""
    found = []
    for path in job.glob("error-*.json"):
        found.append((int(path.stem.split("-")[1]), json.loads(path.read_text("utf-8"))))
    return sorted(found, key=lambda one: one[1]["time"])


def _interruption(job: Path, name: str) -> str:
    told = [word["message"] for index, word in _words(job) if index == 0 and word["message"]]
    return told[0] if told else f"{name} before the first step"


def _failure(failed: int, code: int, count: int, job: Path) -> EsaiError:
    """Make the error of a training: what a worker said of itself, else how the first one ended."""
    words = _words(job)
    for _, word in words:
        if word["kind"] not in ("Exception", "Interrupted"):
            kind = getattr(errors, word["kind"], EsaiError)
            return kind(word["message"], where=word["where"], remedy=word["remedy"])
    remedy = "--resume goes on from the last checkpoint"
    told = dict(words)
    if code < 0 and failed not in told:
        return EsaiError(f"worker {failed} of {count} was ended by signal {-code}", remedy=remedy)
    if words:
        number = failed if failed in told else words[0][0]
        return EsaiError(f"worker {number} of {count} failed: {told[number]['message']}", remedy=remedy)
    return EsaiError(f"worker {failed} of {count} ended with exit code {code}", remedy=remedy)
