"""Write batch scripts for Slurm: training on several nodes, that survives preemption and time limits.

The script runs the command once, on its first node. There it prepares the data, and starts its training
workers over the whole allocation itself (`esai_core.training.fit`): it must not be put under ``srun``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from esai_core.errors import UsageError, unknown

__all__ = ["MACHINES", "Batch", "batch_script"]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is asked of Slurm.

    Attributes
    ----------
    nodes, tasks, cpus, gpus : int
        Nodes; worker processes of each, and processors of each process; GPUs of each node. One process uses
        all GPUs of its node.
    time : str
        Limit, as Slurm writes it (``"12:00:00"``, ``"2-00:00:00"``).
    account, qos, partition : str
        Left out where empty.
    setup : tuple of str
        Lines that make the command available (modules, an environment).
    """

    nodes: int = 1
    tasks: int = 1
    cpus: int = 4
    gpus: int = 0
    time: str = "12:00:00"
    account: str = ""
    qos: str = ""
    partition: str = ""
    setup: tuple[str, ...] = ()


MACHINES = {
    "generic": Batch(),
    # MareNostrum 5: GPP nodes have 2 x 56 cores, a worker for each socket; ACC nodes 80 cores and 4 H100.
    "mn5-gpp": Batch(tasks=2, cpus=56, qos="gp_resa"),
    "mn5-acc": Batch(tasks=1, cpus=80, gpus=4, qos="acc_resa"),
}
"""Starting points for known machines."""


def batch_script(command: Sequence[str], *, machine: str = "generic", **options: Any) -> str:
    """Write a batch script.

    Parameters
    ----------
    command : sequence of str
        A command of an esai package that can be resumed (``esai-seasonal run config.toml --out DIR``);
        ``--resume`` is added where it is missing.
    machine : str
        One of `MACHINES`.
    **options
        Fields of `Batch` that differ from the machine's; None leaves one as it is.

    Returns
    -------
    str
        Text for ``sbatch``. Two minutes before its time is over, or when it is preempted, the job writes a
        checkpoint, ends with 130, and is put into the queue again, where it goes on.

    Raises
    ------
    UsageError
        For an unknown machine, an empty command, one under ``srun``, or numbers that make no sense.
    """
    if machine not in MACHINES:
        raise unknown("machine", machine, MACHINES)
    batch = replace(MACHINES[machine], **{k: v for k, v in options.items() if v is not None})
    words = list(command)
    _check(batch, words)
    if "--resume" not in words:
        words.append("--resume")
    lines = ["#!/bin/bash", *(f"#SBATCH --{line}" for line in _options(batch, words[0])), ""]
    lines += [*batch.setup, ""] if batch.setup else []
    lines += [
        "# srun does not take this over by itself.",
        'export SRUN_CPUS_PER_TASK="$SLURM_CPUS_PER_TASK"',
        "",
        "# The command starts its workers over the allocation. A signal makes it write a checkpoint, and end",
        "# with 130.",
        f"{shlex.join(words)} &",
        "child=$!",
        "trap 'kill -TERM \"$child\"' TERM",
        'wait "$child"',
        "status=$?",
        'while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done',
        'if [ "$status" -eq 130 ]; then scontrol requeue "$SLURM_JOB_ID"; fi',
        'exit "$status"',
    ]
    return "\n".join(lines) + "\n"


def _check(batch: Batch, words: list[str]) -> None:
    if not words:
        raise UsageError(
            "no command to run", remedy="put it after --, as in: -- esai-seasonal run config.toml"
        )
    if words[0] in ("srun", "mpirun", "sbatch"):
        raise UsageError(
            f"the command starts its workers itself, not under {words[0]}", remedy="leave it out"
        )
    if "--workers" in words:
        raise UsageError(
            "--workers starts workers on one node only", remedy="leave it out: Slurm's tasks count"
        )
    for key in ("nodes", "tasks", "cpus"):
        if getattr(batch, key) < 1:
            raise UsageError(f"{key} = {getattr(batch, key)}", remedy="give a number from 1 on")
    if batch.gpus < 0 or (batch.gpus and batch.tasks != 1):
        raise UsageError(
            f"{batch.tasks} tasks on a node with {batch.gpus} GPUs",
            remedy="one task uses all GPUs of its node",
        )
    if not re.fullmatch(r"(\d+-)?\d{1,2}(:\d{2}){0,2}|\d+", batch.time):
        raise UsageError(f"time = {batch.time}", remedy="write HH:MM:SS or D-HH:MM:SS")


def _options(batch: Batch, name: str) -> list[str]:
    fixed = {
        "job-name": name.rpartition("/")[2],
        "output": "%x-%j.log",
        "open-mode": "append",
        "nodes": batch.nodes,
        "ntasks": batch.nodes * batch.tasks,
        "ntasks-per-node": batch.tasks,
        "cpus-per-task": batch.cpus,
        "time": batch.time,
        "signal": "B:TERM@120",
    }
    chosen = {"account": batch.account, "qos": batch.qos, "partition": batch.partition}
    gpus = [f"gres=gpu:{batch.gpus}"] if batch.gpus else []
    return [f"{key}={value}" for key, value in {**fixed, **chosen}.items() if value] + gpus + ["requeue"]
