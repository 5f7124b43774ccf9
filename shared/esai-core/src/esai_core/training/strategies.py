"""Which devices and hosts train together: from ``TF_CONFIG``, Slurm's variables, or this host."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from esai_core.errors import EsaiError, UsageError

__all__ = ["Cluster", "cluster_from_environment", "expand_hostlist", "is_chief", "make_strategy"]

PORT = 29500  # tasks of one host take this port and those above it


@dataclass(frozen=True)
class Cluster:
    """Worker processes that train together.

    Attributes
    ----------
    workers : tuple of str
        ``host:port`` of each; the first one writes checkpoints and history (the chief).
    index : int
        This process.
    """

    workers: tuple[str, ...]
    index: int

    def tf_config(self) -> str:
        """Give the value of ``TF_CONFIG`` for this process."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


def expand_hostlist(text: str) -> list[str]:
    """Expand a Slurm host list.

    Parameters
    ----------
    text : str
        As in ``SLURM_JOB_NODELIST``: ``"node[01-03,07],login1"``; several brackets in one name are allowed.

    Returns
    -------
    list of str
        Names in order, with leading zeros kept.

    Raises
    ------
    UsageError
        If brackets or ranges are broken.

    Examples
    --------
    >>> expand_hostlist("node[01-03,07],login")
    ['node01', 'node02', 'node03', 'node07', 'login']
    """
    names = [name for part in _split_outside_brackets(text) for name in _expand(part, text)]
    if not names or not all(names):
        raise UsageError("an empty name in a Slurm host list", where=text)
    return names


def _split_outside_brackets(text: str) -> list[str]:
    parts, depth = [""], 0
    for letter in text.strip():
        depth += (letter == "[") - (letter == "]")
        if not 0 <= depth <= 1:
            raise UsageError("brackets that do not match in a Slurm host list", where=text)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    if depth:
        raise UsageError("brackets that do not match in a Slurm host list", where=text)
    return parts


def _expand(part: str, text: str) -> Iterator[str]:
    match = re.search(r"\[([^\]]*)\]", part)
    if match is None:
        yield part
        return
    for item in match[1].split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", item)
        if found is None or int(found[2] or found[1]) < int(found[1]):
            raise UsageError(f"a range that cannot be read: [{item}]", where=text)
        for number in range(int(found[1]), int(found[2] or found[1]) + 1):
            name = f"{part[: match.start()]}{number:0{len(found[1])}d}{part[match.end() :]}"
            yield from _expand(name, text)


def _tasks_per_node(text: str) -> list[int]:
    """Expand ``SLURM_TASKS_PER_NODE``: ``"2(x3),1"`` is 2, 2, 2, 1."""
    counts: list[int] = []
    for item in text.split(","):
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", item.strip())
        if found is None:
            raise UsageError("a count of tasks that cannot be read", where=f"SLURM_TASKS_PER_NODE = {text}")
        counts += [int(found[1])] * int(found[2] or 1)
    return counts


def cluster_from_environment(environment: Mapping[str, str] | None = None) -> Cluster | None:
    """Find the workers that this process trains with.

    ``TF_CONFIG`` comes first; else, inside a Slurm step (``srun``), the tasks of the step are the workers.

    Parameters
    ----------
    environment : mapping, optional
        ``os.environ`` by default.

    Returns
    -------
    Cluster or None
        None for a process that trains alone.

    Raises
    ------
    UsageError
        If the variables do not make sense.
    """
    environment = os.environ if environment is None else environment
    if environment.get("TF_CONFIG"):
        return _from_tf_config(environment["TF_CONFIG"])
    if in_slurm_step(environment) and "SLURM_PROCID" in environment:
        return _from_slurm(environment)
    return None


def in_slurm_step(environment: Mapping[str, str]) -> bool:
    """Tell whether srun started this process (a batch script has no step, or one of a reserved number)."""
    step = environment.get("SLURM_STEP_ID", "")
    return step.isdigit() and int(step) < 0xFFFFFFF0


def _from_tf_config(text: str) -> Cluster | None:
    try:
        value = json.loads(text)
        cluster, task = value.get("cluster", {}), value.get("task", {})
        workers = (*cluster.get("chief", ()), *cluster.get("worker", ()))
        index = int(task.get("index", 0)) + (
            len(cluster.get("chief", ())) if task.get("type") == "worker" else 0
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"TF_CONFIG cannot be read: {error}", where=f"TF_CONFIG = {text[:80]}") from None
    if len(workers) < 2:
        return None
    if not 0 <= index < len(workers):
        raise UsageError(f"task {index} of {len(workers)} workers", where="TF_CONFIG")
    return Cluster(workers, index)


def _from_slurm(environment: Mapping[str, str]) -> Cluster | None:
    try:
        count = int(environment.get("SLURM_STEP_NUM_TASKS", environment.get("SLURM_NTASKS", "1")))
        index = int(environment["SLURM_PROCID"])
        base = int(environment.get("ESAI_PORT", PORT))
    except ValueError as error:
        raise UsageError(f"Slurm's variables cannot be read: {error}") from None
    if count < 2:
        return None
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    per_node = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_TASKS_PER_NODE")
    if not nodes or not per_node:
        raise UsageError("Slurm's host list or its tasks per node are not set", where="SLURM_JOB_NODELIST")
    hosts, counts = expand_hostlist(nodes), _tasks_per_node(per_node)
    workers = tuple(
        f"{host}:{base + task}" for host, tasks in zip(hosts, counts, strict=False) for task in range(tasks)
    )
    if len(workers) != count or len(hosts) != len(counts):
        raise UsageError(f"{count} tasks, but {len(workers)} on the hosts", where=f"{nodes} {per_node}")
    return Cluster(workers, index)


def make_strategy(cluster: Cluster | None = None) -> Any:
    """Give the strategy for the workers of `cluster`, or for the devices of this host.

    Parameters
    ----------
    cluster : Cluster, optional
        As `cluster_from_environment` finds it by default.

    Returns
    -------
    tf.distribute.Strategy
        `MultiWorkerMirroredStrategy` for several workers (NCCL collectives where there are GPUs, else
        rings), `MirroredStrategy` for several GPUs, else the default.

    Raises
    ------
    EsaiError
        If TensorFlow has been at work in this process before workers were to be joined.
    """
    import tensorflow as tf

    cluster = cluster or cluster_from_environment()
    if cluster is None:
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()
    os.environ["TF_CONFIG"] = cluster.tf_config()
    # Left to itself, TensorFlow sums over hosts in a ring of their processors, GPUs or not.
    gpus = tf.config.list_physical_devices("GPU")
    options = tf.distribute.experimental.CommunicationOptions(implementation="NCCL" if gpus else "RING")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except RuntimeError as error:
        raise EsaiError(
            f"worker {cluster.index} cannot join the others: {error}",
            remedy="make the strategy before any other use of TensorFlow",
        ) from error


def is_chief(strategy: Any) -> bool:
    """Tell whether this process writes checkpoints and history."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.cluster_spec().as_dict():
        return True
    if "chief" in resolver.cluster_spec().as_dict():
        return resolver.task_type == "chief"
    return resolver.task_id == 0
