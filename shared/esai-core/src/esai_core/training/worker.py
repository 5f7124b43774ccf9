"""One worker process: joins the others, trains its share of a stored job, and ends.

``python -m esai_core.training.worker FOLDER [--index K]`` is what `esai_core.training.launch` starts; inside
a Slurm step the index comes from Slurm.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from esai_core import errors, logs
from esai_core.training.strategies import Cluster, cluster_from_environment

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one worker's share of the job in a folder; the exit status."""
    parser = argparse.ArgumentParser(prog="esai_core.training.worker", description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--index", type=int)
    options = parser.parse_args(arguments)
    job = json.loads((options.folder / "job.json").read_text("utf-8"))
    if options.index is None:
        cluster = cluster_from_environment()
        if cluster is None:
            raise SystemExit("no --index, and no Slurm step to take it from")
    else:
        cluster = Cluster(tuple(job["addresses"]), options.index)
    _end_with_parent(job["parent"], job["host"])
    with logs.to_stderr(0 if cluster.index == 0 and not job["quiet"] else -2):
        return _guarded(options.folder, job, cluster)


def _end_with_parent(parent: int, host: str) -> None:
    """End this process soon after the one that started it, however that ended (on its own host)."""
    import socket

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    if host == socket.gethostname() and os.getppid() == parent:
        threading.Thread(target=watch, daemon=True).start()


def _guarded(folder: Path, job: dict[str, Any], cluster: Cluster) -> int:
    """Train, and leave word of an error in the folder."""
    try:
        _train(folder, job, cluster)
    except KeyboardInterrupt as stop:
        _leave_word(folder, cluster.index, "Interrupted", str(stop))
        return 130
    except errors.EsaiError as error:
        _leave_word(folder, cluster.index, type(error).__name__, error.message, error.where, error.remedy)
        return 1
    except Exception as error:  # the last guard of a process: whatever it is, the parent must hear of it
        traceback.print_exc()
        _leave_word(folder, cluster.index, "Exception", f"{type(error).__name__}: {str(error)[:300]}")
        return 1
    return 0


def _leave_word(
    folder: Path, index: int, kind: str, message: str, where: str | None = None, remedy: str | None = None
) -> None:
    word = {"kind": kind, "message": message, "where": where, "remedy": remedy, "time": time.time()}
    (folder / f"error-{index}.json").write_text(json.dumps(word), "utf-8")


def _train(folder: Path, job: dict[str, Any], cluster: Cluster) -> None:
    import cloudpickle

    from esai_core.nn._keras import quiet_start

    with quiet_start():
        import tensorflow as tf
    if job["threads"]:
        tf.config.threading.set_intra_op_parallelism_threads(job["threads"])
    from esai_core.training.strategies import make_strategy

    strategy = make_strategy(cluster)
    from esai_core import nn
    from esai_core.training.config import TrainConfig
    from esai_core.training.files import spread, write_checkpoint
    from esai_core.training.launch import recall
    from esai_core.training.loop import fit

    for module in job["modules"]:
        importlib.import_module(module)
    given = cloudpickle.loads((folder / "given.pkl").read_bytes())
    adversary = given["adversary"]
    if adversary is not None:
        path = folder / "discriminator.keras"
        adversary = dataclasses.replace(adversary, discriminator=lambda: nn.load(path))
    try:
        history = fit(
            lambda: nn.load(folder / "model.keras"),
            recall(given["train"], folder),
            recall(given["validate"], folder),
            loss=given["loss"],
            metrics=given["metrics"],
            augment=given["augment"],
            adversary=adversary,
            config=TrainConfig(**job["config"]),
            folder=job["folder"],
            resume=job["resume"],
            strategy=strategy,
        )
    except KeyboardInterrupt:
        _wait_for_all(strategy)
        raise
    if cluster.index == 0:
        meta = {"rows": history.rows, "best_epoch": history.best_epoch, "stopped": history.stopped}
        write_checkpoint(folder / "result.npz", spread(history.model.weights, "weight"), meta)
    _wait_for_all(strategy)


def _wait_for_all(strategy: Any) -> None:
    """Hold this process until the others are here too: the first to leave would look like a failure."""
    import tensorflow as tf

    @tf.function(jit_compile=False)
    def meet() -> Any:
        one = strategy.run(lambda: tf.constant(1.0))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, one, axis=None)

    np.asarray(meet())


if __name__ == "__main__":
    sys.exit(main())
