"""What each verb of the command line does. Imported when a verb runs, never for ``--help``."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from esai_core.cli import emit
from esai_core.config import Config, dump_toml, input_paths, json_schema, load_config, missing_path
from esai_core.errors import UsageError
from esai_core.fetch import as_json, as_python
from esai_core.fetch import fetch as fetch_all
from esai_core.job import Job, Verb, demo_inputs, load_ref
from esai_core.runs.manifest import read_manifest
from esai_core.runs.record import clear
from esai_core.runs.repeat import rerun as repeat
from esai_core.runs.steps import complete, execute
from esai_core.runs.swap import exclusive, partial_of, recover, replace_folder, sync_tree

__all__ = [
    "config",
    "demo",
    "evaluate",
    "extra_on_config",
    "extra_on_run",
    "fetch",
    "init",
    "predict",
    "report",
    "rerun",
    "run",
    "train",
]

log = logging.getLogger(__name__)

_DEMO_MARK = ".esai-demo"


def _load(args: argparse.Namespace, path: str) -> Config:
    return load_config(path, args.job.load_config_class(), overrides=args.set)


def _name_result(folder: Path) -> None:
    """Print, as the last line, what to open."""
    report_file = folder / "report.html"
    emit(str(report_file if report_file.exists() else folder))


def _new_run(
    args: argparse.Namespace, steps: Sequence[str] | None, *, options: dict[str, Any] | None = None
) -> None:
    chosen = _load(args, args.config)
    out = args.out
    if out is None:
        out = Path("runs") / Path(args.config).absolute().stem
        log.info("writing to %s (choose another place with --out)", out)
    folder = execute(
        args.job,
        chosen,
        out,
        steps=steps,
        overwrite=args.overwrite,
        resume=args.resume,
        workers=args.workers,
        cluster=args.cluster,
        options=options,
        command=args.command,
    )
    _name_result(folder)


def run(args: argparse.Namespace) -> None:
    """Do every step of the job in a new run folder."""
    _new_run(args, None)


def train(args: argparse.Namespace) -> None:
    """Do the first step in a new run folder."""
    _new_run(args, ["train"])


def extra_on_config(args: argparse.Namespace) -> None:
    """Do an extra verb as the only step of a new run folder."""
    _new_run(args, [args.verb], options=_own_arguments(args))


def _complete(args: argparse.Namespace, *, options: dict[str, Any] | None = None) -> None:
    target = Path(args.target)
    if not target.exists():
        raise UsageError("no such run folder or config", where=target)
    if target.is_dir():
        chosen, out, overrides = None, args.out, args.set
    elif args.out is None:
        raise UsageError(
            f"{args.verb} needs a run folder", where=target, remedy="add --out RUN_FOLDER to a config"
        )
    else:
        chosen, target, out, overrides = _load(args, args.target), Path(args.out), None, []
    folder = complete(
        args.job,
        target,
        args.verb,
        config=chosen,
        overrides=overrides,
        out=out,
        overwrite=args.overwrite,
        workers=args.workers,
        cluster=args.cluster,
        options=options,
    )
    _name_result(folder)


def predict(args: argparse.Namespace) -> None:
    """Apply the models of a run folder."""
    _complete(args)


def evaluate(args: argparse.Namespace) -> None:
    """Score the predictions of a run folder."""
    _complete(args)


def report(args: argparse.Namespace) -> None:
    """Write the report of a run folder."""
    _complete(args)


def extra_on_run(args: argparse.Namespace) -> None:
    """Do an extra verb on a run folder."""
    _complete(args, options=_own_arguments(args))


def _own_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Pick the values of an extra verb's own arguments."""
    extra: Verb = args.extra
    picked = {}
    for argument in extra.arguments:
        long = next((flag for flag in argument.flags if flag.startswith("--")), argument.flags[0])
        name = argument.settings.get("dest", long.lstrip("-").replace("-", "_"))
        picked[name] = getattr(args, name)
    return picked


def demo(args: argparse.Namespace) -> None:
    """Write seeded inputs beside the run folder and run everything on them."""
    job: Job = args.job
    name = "-".join(filter(None, (job.name, getattr(args, "job_name", None), "demo")))
    out = Path(args.out if args.out is not None else Path("runs") / name).expanduser().resolve()
    again = args.overwrite or (args.out is None and _is_demo(out))
    if out.exists() and not again:
        raise UsageError("the folder exists", where=out, remedy="choose another --out, or give --overwrite")
    config_path = _demo_inputs(job, demo_inputs(out))
    chosen = load_config(config_path, job.load_config_class())
    log.info("inputs and config of the demo: %s", config_path)
    _name_result(execute(job, chosen, out, overwrite=again, command=args.command))


def _is_demo(out: Path) -> bool:
    return (out / "manifest.json").exists() and "demo" in read_manifest(out)["command"]


def _demo_inputs(job: Job, folder: Path) -> Path:
    """Write the demo's inputs aside and put them in place; give the path of its config."""
    if folder.exists() and not (folder / _DEMO_MARK).exists():
        raise UsageError("the demo would write its inputs here, but the folder is not its own", where=folder)
    with exclusive(folder):
        recover(folder)
        partial = partial_of(folder)
        clear(partial)
        partial.mkdir(parents=True)
        written = Path(load_ref(job.demo)(partial))
        (partial / _DEMO_MARK).touch()
        sync_tree(partial)
        replace_folder(partial, folder)
    return folder / written.relative_to(partial)


def init(args: argparse.Namespace) -> None:
    """Write the commented config of the job."""
    job: Job = args.job
    words = list(filter(None, (job.name, getattr(args, "job_name", None))))
    name, command = "-".join(words), " ".join(words)
    path = Path(args.out if args.out is not None else f"{name}.toml").expanduser()
    path = path / f"{name}.toml" if path.is_dir() else path
    _write_text(path, job.load_template(), overwrite=args.overwrite)
    log.info("edit its paths, try `%s config check %s`, then `%s run %s`", command, path, command, path)


def _write_text(path: Path, text: str, *, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise UsageError("the file exists", where=path, remedy="choose another --out, or give --overwrite")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
    emit(str(path))


def config(args: argparse.Namespace) -> None:
    """Show the resolved config, check it and its inputs, or give the JSON schema."""
    job: Job = args.job
    if args.action == "schema":
        if args.config or args.set:
            raise UsageError("config schema takes no config")
        text = json.dumps(json_schema(job.load_config_class()), indent=2)
    elif args.config is None:
        raise UsageError(f"config {args.action} needs a config", remedy=f"write one with `{job.name} init`")
    else:
        chosen = _load(args, args.config)
        text = dump_toml(chosen, comments=True).rstrip()
    if args.action == "check":
        if args.out is not None:
            raise UsageError("config check writes nothing", where="--out")
        _check(chosen)
        emit(f"{args.config}: valid, and its {len(input_paths(chosen))} input files are there")
    elif args.out is not None:
        _write_text(Path(args.out), text + "\n", overwrite=False)
    else:
        emit(text)


def _check(chosen: Config) -> None:
    missing = {key: path for key, path in input_paths(chosen).items() if not path.exists()}
    for number, (key, path) in enumerate(missing.items(), start=1):
        error = missing_path(path, key=key)
        if number == len(missing):
            raise error
        log.error("%s", error)


def fetch(args: argparse.Namespace) -> None:
    """Show or send the requests for the real data."""
    job: Job = args.job
    if args.config is None and args.set:
        raise UsageError("--set needs a config to lay values over", where=f"--set {args.set[0]}")
    chosen = None if args.config is None else _load(args, args.config)
    requests = list(load_ref(job.requests)(chosen))
    if args.dry_run:
        emit(as_python(requests) if args.form == "python" else as_json(requests))
        return
    for path in fetch_all(requests, args.out or "data", overwrite=args.overwrite):
        emit(str(path))


def rerun(args: argparse.Namespace) -> int:
    """Repeat a run and compare."""
    result = repeat(args.job, args.target, out=args.out, overwrite=args.overwrite, command=args.command)
    width = max([len(name) for name in result.outputs], default=0)
    for name, state in result.outputs.items():
        emit(f"{name:{width}}  {state}")
    counted = [state for state in result.outputs.values() if state != "not compared"]
    same = sum(state == "same" for state in counted)
    kept = f", kept in {result.folder}" if result.folder else ""
    emit(f"{same} of {len(counted)} outputs are the same{kept}")
    return 0 if result.same else 1
