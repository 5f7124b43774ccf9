"""Repeat a run from its own folder and compare what comes out."""

from __future__ import annotations

import logging
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esai_core.config import Config, dump_toml, input_paths, missing_path, validate_config
from esai_core.errors import InputError, UsageError
from esai_core.job import Job
from esai_core.runs.digests import digest, matches
from esai_core.runs.folder import RunFolder
from esai_core.runs.manifest import describe_input, read_manifest, versions
from esai_core.runs.steps import run_step

__all__ = ["Comparison", "rerun"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """What a repetition showed.

    Attributes
    ----------
    outputs : dict of str to str
        Output to ``"same"``, ``"different"``, ``"missing"``, ``"new"`` or ``"not compared"``.
    inputs : dict of str to str
        Changed inputs: path to what changed.
    versions : dict of str to tuple
        Changed distributions: name to the versions then and now.
    folder : Path or None
        The repetition, where it was kept.
    """

    outputs: dict[str, str]
    inputs: dict[str, str] = field(default_factory=dict)
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def same(self) -> bool:
        """Whether every output that can be compared is the same."""
        return all(state in ("same", "not compared") for state in self.outputs.values())


def rerun(
    job: Job,
    folder: str | Path,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    command: Sequence[str] = (),
) -> Comparison:
    """Repeat every step of a run with its own config and compare the digests of the outputs.

    Parameters
    ----------
    job : Job
        What the package gives.
    folder : path
        A run folder of this job.
    out : path, optional
        Where to put the repetition. Without it, it is made beside `folder` and kept (as ``NAME-rerun``) only
        if something differs.
    overwrite : bool
        Replace an earlier run folder at `out`.
    command : sequence of str
        What was typed, for the manifest.

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        If `folder` is no run folder of this job.
    InputError
        If an input is gone.
    """
    folder = Path(folder).expanduser().resolve()
    manifest = read_manifest(folder)
    if manifest["package"] != job.distribution:
        raise UsageError(
            f"this run folder was made by {manifest['package']}", where=folder, remedy="use its command"
        )
    changed_inputs = _changed_inputs(manifest)
    changed_versions = _changed_versions(manifest)
    for name, (then, now) in changed_versions.items():
        log.warning("%s was %s, is %s", name, then, now)
    for path, change in changed_inputs.items():
        log.warning("input %s: %s", path, change)
    place = folder.with_name(f"{folder.name}-rerun") if out is None else Path(out).expanduser().resolve()
    made = _repeat(job, folder, manifest, place, overwrite=overwrite, command=command)
    states = _compare(manifest, folder, made)
    result = Comparison(states, changed_inputs, changed_versions, made)
    if out is None and result.same:
        shutil.rmtree(made)
        return Comparison(states, changed_inputs, changed_versions, None)
    return result


def _repeat(
    job: Job, folder: Path, manifest: dict[str, Any], place: Path, *, overwrite: bool, command: Sequence[str]
) -> Path:
    model = job.load_config_class()
    text = (folder / "config.toml").read_text()
    known = [*job.steps, *(verb.name for verb in job.extra_verbs if verb.takes)]
    with RunFolder.create(place, package=job.distribution, command=command, overwrite=overwrite) as run:
        for step in manifest["steps"]:
            if step["step"] not in known:
                raise UsageError(f"this version has no step {step['step']!r}", where=folder)
            config: Config = validate_config(
                tomllib.loads(step["config"] or text), model, folder=folder, where=folder / "config.toml"
            )
            for key, path in input_paths(config).items():
                if not path.exists():
                    raise missing_path(path, key=key)
                run.add_input(path)
            run_step(run, job, step["step"], config, dump_toml(config), step["options"])
    return run.folder


def _compare(manifest: dict[str, Any], folder: Path, made: Path) -> dict[str, str]:
    """Compare by the digests that were recorded; a file that was edited since is told apart."""
    before: dict[str, str | None] = {name: entry["sha256"] for name, entry in manifest["outputs"].items()}
    again = read_manifest(made)
    after: dict[str, str | None] = {name: entry["sha256"] for name, entry in again["outputs"].items()}
    now = digest(folder, varies=manifest["varies"])
    states = {}
    for name in sorted({*before, *after}):
        if name not in after:
            states[name] = "missing"
        elif name not in before:
            states[name] = "new"
        elif before[name] is None or after[name] is None or matches(name, again["varies"]):
            states[name] = "not compared"
        else:
            states[name] = "same" if before[name] == after[name] else "different"
        if before.get(name) is not None and now.get(name) != before[name]:
            log.warning("%s was changed after the run", folder / name)
    return states


def _changed_inputs(manifest: dict[str, Any]) -> dict[str, str]:
    changed = {}
    for entry in manifest["inputs"]:
        try:
            if describe_input(entry["path"])["sha256"] != entry["sha256"]:
                changed[entry["path"]] = "changed since the run"
        except InputError:
            changed[entry["path"]] = "is gone"
    return changed


def _changed_versions(manifest: dict[str, Any]) -> dict[str, tuple[str, str]]:
    then, now = manifest["packages"], versions(manifest["package"])
    return {
        name: (then.get(name, "absent"), now.get(name, "absent"))
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    }
