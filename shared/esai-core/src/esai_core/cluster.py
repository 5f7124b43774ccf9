"""Where the work over cells runs: a dask cluster on this machine, one that is up already, or one on Slurm.

``--cluster`` of a package whose `Job` has ``cluster=True``. While `connect` is open, whatever is computed
from dask arrays runs there; the packages need no other code.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any

from esai_core.errors import EsaiError, UsageError

__all__ = ["connect", "parse"]

log = logging.getLogger(__name__)

EXTRA = "install esai-core[cluster]"
TIMEOUT = 60
"""Seconds that a scheduler or the first worker may take to answer."""


def parse(text: str) -> tuple[str, int | str]:
    """Take the value of ``--cluster`` apart.

    Parameters
    ----------
    text : str
        ``local:N``, the address of a scheduler (``tcp://host:port``, ``tls://...``), ``slurm`` or
        ``slurm:N``.

    Returns
    -------
    kind : {"local", "address", "slurm"}
    value : int or str
        Number of workers or jobs, or the address.

    Raises
    ------
    UsageError
        For anything else.
    """
    if re.fullmatch(r"(tcp|tls|ucx|ws|wss)://\S+", text):
        return "address", text
    found = re.fullmatch(r"(local|slurm)(?::(\d+))?", text)
    count = int(found[2] or 1) if found else 0
    if found is None or count < 1 or (found[1] == "local" and found[2] is None):
        raise UsageError(
            f"--cluster {text!r} names no cluster",
            remedy="give local:N (N processes), tcp://HOST:PORT (a scheduler) or slurm:N (N jobs)",
        )
    return found[1], count


@contextlib.contextmanager
def connect(text: str | None) -> Iterator[Any]:
    """Run dask's work on a cluster as long as the context is open.

    Parameters
    ----------
    text : str or None
        As `parse` takes it. ``local:N`` starts N processes of one thread each. ``slurm:N`` submits N jobs of
        dask-jobqueue, whose cores, memory, queue and account come from its own configuration
        (``~/.config/dask/jobqueue.yaml``). A cluster that was started here ends with the context; one that
        was up before stays up. None: nothing is started, and dask uses this process.

    Yields
    ------
    distributed.Client or None

    Raises
    ------
    UsageError
        If the value names no cluster, the extra ``cluster`` is not installed, or nothing answers.
    EsaiError
        If workers die of the work.
    """
    if text is None:
        yield None
        return
    kind, value = parse(text)
    try:
        import dask
        import distributed as library
    except ImportError as error:
        raise UsageError("--cluster needs the library distributed", remedy=EXTRA) from error
    distributed: Any = library
    with contextlib.ExitStack() as stack:
        # Coarse hindcasts in memory go to the workers inside the graph: that is meant.
        stack.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"}))
        target = value if kind == "address" else stack.enter_context(_started(kind, int(value)))
        try:
            client = stack.enter_context(distributed.Client(target, timeout=TIMEOUT, set_as_default=True))
            client.wait_for_workers(1, timeout=TIMEOUT if kind != "slurm" else None)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(
                f"no dask workers answer: {error}",
                where=f"--cluster {text}",
                remedy="start `dask scheduler` and `dask worker` there first, with this environment",
            ) from error
        log.info("dask: %d workers at %s", len(client.scheduler_info(n_workers=-1)["workers"]), text)
        try:
            yield client
        except distributed.KilledWorker as error:
            raise EsaiError(
                f"workers died of the same work again and again: {error.task}",
                where=f"--cluster {text}",
                remedy="most often for want of memory: take fewer workers or smaller chunks",
            ) from error


def _started(kind: str, count: int) -> Any:
    """Start a cluster; the numba kernels of a worker keep to its thread."""
    import dask
    import distributed as library

    distributed: Any = library
    # What is set before the spawn stands for a moment in this process too, whose numba would take it.
    environment = {
        "distributed.nanny.pre-spawn-environ": {"OMP_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1},
        "distributed.nanny.environ": {"NUMBA_NUM_THREADS": 1},
    }
    # No dashboard, and any port for what is left of it: the usual one may be taken.
    options = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    if kind == "local":
        with dask.config.set(environment):
            return distributed.LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                host="127.0.0.1",
                scheduler_kwargs=options,
                silence_logs=logging.ERROR,
            )
    try:
        import dask_jobqueue as jobqueue
    except ImportError as error:
        raise UsageError("--cluster slurm needs the library dask-jobqueue", remedy=EXTRA) from error
    jobs: Any = jobqueue
    unset = [key for key in ("cores", "memory") if not dask.config.get(f"jobqueue.slurm.{key}", None)]
    if unset:
        raise UsageError(
            f"dask-jobqueue is not told the {' and '.join(unset)} of a job",
            where="--cluster slurm",
            remedy="set them, and queue and account, under jobqueue.slurm in ~/.config/dask/jobqueue.yaml",
        )
    options |= dask.config.get("jobqueue.slurm.scheduler-options", None) or {}
    with dask.config.set(environment):
        cluster = jobs.SLURMCluster(scheduler_options=options)
    cluster.scale(jobs=count)
    return cluster
