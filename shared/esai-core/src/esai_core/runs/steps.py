"""Do the steps of a job in a run folder: from a config, or onto a run folder that exists."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from esai_core.cluster import connect
from esai_core.config import Config, dump_toml, input_paths, load_config, missing_path
from esai_core.errors import InputError, UsageError
from esai_core.job import Job
from esai_core.runs.digests import digest_file, is_model
from esai_core.runs.folder import RunFolder

__all__ = ["complete", "execute", "run_step", "seed_of"]

log = logging.getLogger(__name__)


def execute(
    job: Job,
    config: Config,
    out: str | Path,
    *,
    steps: Sequence[str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    options: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
) -> Path:
    """Make a run folder from a config.

    Parameters
    ----------
    job : Job
        What a package gives.
    config : Config
        Validated.
    out : path
        Place of the run folder.
    steps : sequence of str, optional
        Steps to do; all of the job's by default.
    overwrite, resume : bool
        As in `RunFolder.create`.
    workers : int, optional
        As ``--workers``.
    cluster : str, optional
        As ``--cluster``: what the steps compute from dask arrays runs there.
    options : mapping, optional
        Arguments of an extra verb.
    command : sequence of str
        What was typed, for the manifest.

    Returns
    -------
    Path
        The run folder.

    Raises
    ------
    EsaiError
        As the steps and `RunFolder.create` do; an earlier folder at `out` is then as it was.
    """
    names = list(job.steps) if steps is None else list(steps)
    with RunFolder.create(
        out, package=job.distribution, command=command, overwrite=overwrite, resume=resume
    ) as run:
        run.workers, run.cluster = workers, cluster
        text = dump_toml(config)
        _same_config(run, text)
        _record_inputs(run, config, required=True)
        with connect(cluster):
            for name in names:
                if name in run.done:
                    log.info("%s: done before", name)
                    continue
                run_step(run, job, name, config, text, options)
    return run.folder


def complete(
    job: Job,
    target: str | Path,
    step: str,
    *,
    config: Config | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    overwrite: bool = False,
    workers: int | None = None,
    cluster: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Do one step on a run folder in which the earlier ones were done.

    Parameters
    ----------
    job : Job
        What a package gives.
    target : path
        A run folder of this job.
    step : str
        The step or extra verb.
    config : Config, optional
        Instead of the config of the folder.
    overrides : sequence of str
        ``key.path=value``, laid over the folder's config.
    out : path, optional
        Another place for the result; `target` stays as it is.
    overwrite : bool
        Replace an earlier run folder at `out`.
    workers, cluster, options
        As in `execute`.

    Returns
    -------
    Path
        The run folder that holds the result.

    Raises
    ------
    UsageError
        If `target` is no run folder of this job or an earlier step is missing.
    InputError
        If a file under ``model/`` is not the one that the run made.
    """
    with RunFolder.extend(target, out=out, overwrite=overwrite) as run:
        if run.record["package"] != job.distribution:
            raise UsageError(
                f"this run folder was made by {run.record['package']}",
                where=target,
                remedy=f"use one of {job.name}",
            )
        for needed in needs(job, step):
            if needed not in run.done:
                raise UsageError(
                    f"{step} needs the step {needed}", where=target, remedy=f"run `{job.name} {needed}` first"
                )
        _same_models(run)
        if config is None:
            config = load_config(target, job.load_config_class(), overrides=overrides)
        run.workers, run.cluster = workers, cluster
        _record_inputs(run, config, required=False)
        with connect(cluster):
            run_step(run, job, step, config, dump_toml(config), options)
    return run.folder


def _same_models(run: RunFolder) -> None:
    """Refuse model files that the run did not make: of another run or package, damaged, planted."""
    for name, entry in run.record["outputs"].items():
        if not is_model(name) or entry["sha256"] is None:
            continue
        found = None
        with contextlib.suppress(InputError):  # not even what its name says
            found = digest_file(run.find(name))
        if found != entry["sha256"]:
            raise InputError(
                "this model file is not the one that the run made",
                where=run.folder / name,
                remedy="bring the original back, or train again",
            )


def needs(job: Job, step: str) -> list[str]:
    """List the steps that must have been done before `step`."""
    names = list(job.steps)
    if step in names:
        return names[: names.index(step)]
    verb = next(verb for verb in job.extra_verbs if verb.name == step)
    return [] if verb.needs is None else [*needs(job, verb.needs), verb.needs]


def _undoes(job: Job, step: str) -> list[str]:
    names = [*job.steps, *(verb.name for verb in job.extra_verbs if verb.takes)]
    return [name for name in names if step in needs(job, name)]


def run_step(
    run: RunFolder, job: Job, name: str, config: Config, text: str, options: Mapping[str, Any] | None
) -> None:
    """Do one step in an open run folder, noting its config, seed and options."""
    function = job.step(name)
    with run.step(name, config=text, seed=seed_of(config), options=options, undoes=_undoes(job, name)):
        function(config, run)
    run.resume = False


def seed_of(config: Config) -> int:
    """Give ``config.train.seed`` or ``config.seed``, else 0."""
    train = getattr(config, "train", None)
    seed = getattr(train, "seed", None)
    seed = getattr(config, "seed", None) if seed is None else seed
    return 0 if seed is None else int(seed)


def _same_config(run: RunFolder, text: str) -> None:
    """Refuse to resume a run that began with another config."""
    path = run.partial / "config.toml"
    if not path.exists():
        path.write_text(text)
        return
    if path.read_text() == text:
        return
    old, new = path.read_text().splitlines(), text.splitlines()
    changed = next((line for line in new if line not in old), None) or next(
        line for line in old if line not in new
    )
    raise UsageError(
        "the interrupted run had another config",
        where=f"now: {changed}",
        remedy="resume with the same config, or start anew without --resume",
    )


def _record_inputs(run: RunFolder, config: Config, *, required: bool) -> None:
    paths = input_paths(config)
    for key, path in paths.items():
        if path.exists():
            continue
        if required:
            raise missing_path(path, key=key)
        log.debug("%s: no such file %s", key, path)
    with run.stage("check"):
        for path in paths.values():
            if path.exists():
                run.add_input(path)
