"""The command line that every package has: the same verbs, options and exit codes, made from its `Job`.

Exit codes: 0 done · 1 unexpected · 2 usage or config · 3 bad input data · 130 interrupted. Results go to
stdout (the last line names what was written), all else to stderr. A user's mistake is one line.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from esai_core import cluster, logs
from esai_core.errors import EsaiError, UsageError, from_os_error, nearest
from esai_core.job import STEPS, Job, Verb, load_ref

__all__ = ["build_parser", "emit", "main"]

_COMMON = ("out", "set", "verbose", "quiet")
_LEVELS = ("before", "middle", "after")

_VERBS: dict[str, tuple[str, tuple[str, ...]]] = {
    "demo": ("run an embedded example and name its report", ("out", "overwrite")),
    "init": ("write a commented config to start from", ("out", "overwrite")),
    "fetch": ("download the real data (--dry-run: show the requests)", ("out", "set", "overwrite")),
    "run": ("do everything: {steps}", ("out", "set", "overwrite", "resume", "workers", "cluster")),
    "train": ("fit the models", ("out", "set", "overwrite", "resume", "workers", "cluster")),
    "predict": ("apply the fitted models", ("out", "set", "overwrite", "workers", "cluster")),
    "evaluate": ("score the predictions", ("out", "set", "overwrite", "workers", "cluster")),
    "report": ("write the report", ("out", "set", "overwrite")),
    "config": ("show or check a config, or give its JSON schema", ("out", "set")),
    "rerun": ("repeat a run and compare the digests of its outputs", ("out", "overwrite")),
}

_OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "out": (("--out",), {"metavar": "DIR", "help": "where the result goes"}),
    "set": (
        ("--set",),
        {"metavar": "KEY=VALUE", "action": "append", "help": "lay a value over the config (repeatable)"},
    ),
    "verbose": (("-v", "--verbose"), {"action": "count", "help": "say more; show tracebacks"}),
    "quiet": (("-q", "--quiet"), {"action": "count", "help": "say warnings and errors only"}),
    "overwrite": (
        ("--overwrite",),
        {"action": "store_true", "default": None, "help": "replace what is there"},
    ),
    "resume": (
        ("--resume",),
        {"action": "store_true", "default": None, "help": "go on with an interrupted run"},
    ),
    "workers": (("--workers",), {"metavar": "N", "type": int, "help": "number of local worker processes"}),
    "cluster": (
        ("--cluster",),
        {"metavar": "local:N|tcp://...|slurm:N", "help": "dask cluster for the work over cells"},
    ),
}


class _Parser(argparse.ArgumentParser):
    """Raises `UsageError` where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        found = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if found:
            options = [name.strip().strip("'") for name in found[2].split(",")]
            raise UsageError(
                f"there is no {found[1]!r}", remedy=f"{nearest(found[1], options)} (see {self.prog} --help)"
            )
        raise UsageError(message, remedy=f"see {self.prog} --help")


class _Version(argparse.Action):
    """Print the versions of the package and the core, and exit."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None
    ) -> None:
        from importlib.metadata import version

        job: Job = self.const
        emit(f"{job.distribution} {job.version} (esai-core {version('esai-core')})")
        parser.exit()


def emit(text: str) -> None:
    """Print a result to stdout; a reader that has gone away (``| head``) is no error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser(jobs: Job | Mapping[str, Job]) -> argparse.ArgumentParser:
    """Build the parser of a package's command.

    Parameters
    ----------
    jobs : Job or mapping of str to Job
        One job, or several under their names (``esai-airquality mos run ...``).

    Returns
    -------
    argparse.ArgumentParser
        Its namespace holds ``job``, ``verb`` and the options, which may stand before or after the verb.
    """
    first = jobs if isinstance(jobs, Job) else next(iter(jobs.values()))
    summary = first.summary if isinstance(jobs, Job) else _several(jobs)
    parser = _Parser(prog=first.name, description=summary, allow_abbrev=False)
    _add_options(parser, first, _COMMON, "before")
    if isinstance(jobs, Job):
        parser.set_defaults(job=jobs)
        _add_verbs(parser, jobs)
        return parser
    subparsers = parser.add_subparsers(dest="job_name", metavar="JOB", required=True)
    for name, job in jobs.items():
        inner = subparsers.add_parser(name, help=job.summary, description=job.summary, allow_abbrev=False)
        inner.set_defaults(job=job)
        _add_options(inner, job, _COMMON, "middle")
        _add_verbs(inner, job)
    return parser


def _several(jobs: Mapping[str, Job]) -> str:
    return "; ".join(f"{name}: {job.summary.rstrip('.')}" for name, job in jobs.items()) + "."


def _add_verbs(parser: argparse.ArgumentParser, job: Job) -> None:
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (text, options) in _VERBS.items():
        if _lacks(job, name):
            continue
        text = text.format(steps=", ".join(job.steps))
        verb = subparsers.add_parser(
            name, help=text, description=text[:1].upper() + text[1:] + ".", allow_abbrev=False
        )
        verb.set_defaults(extra=None, takes=options)
        _add_arguments(verb, name)
        _add_options(verb, job, (*options, "verbose", "quiet"), "after")
    for extra in job.extra_verbs:
        verb = subparsers.add_parser(
            extra.name, help=extra.summary, description=extra.summary, allow_abbrev=False
        )
        options = (
            ("out", "set", "overwrite", "workers", "cluster") if extra.takes else ("out", "set", "overwrite")
        )
        verb.set_defaults(extra=extra, takes=options)
        if extra.takes:
            _add_arguments(verb, "run" if extra.takes == "config" else "predict")
        for argument in extra.arguments:
            verb.add_argument(*argument.flags, **argument.settings)
        _add_options(verb, job, (*options, "verbose", "quiet"), "after")


def _lacks(job: Job, verb: str) -> bool:
    if verb in STEPS:
        return verb not in job.steps
    return {"demo": job.demo, "fetch": job.requests, "run": job.steps}.get(verb, True) in (None, {})


def _add_arguments(parser: argparse.ArgumentParser, verb: str) -> None:
    if verb in ("run", "train"):
        parser.add_argument("config", metavar="CONFIG", help="a TOML file (write one with init)")
    elif verb in ("predict", "evaluate", "report"):
        parser.add_argument(
            "target", metavar="TARGET", help="a run folder, or a config with --out RUN_FOLDER"
        )
    elif verb == "fetch":
        parser.add_argument("config", metavar="CONFIG", nargs="?", help="fetch what this config needs")
        parser.add_argument("--dry-run", action="store_true", help="print the requests, send nothing")
        parser.add_argument(
            "--as", dest="form", choices=("json", "python"), default="json", help="form of --dry-run"
        )
    elif verb == "config":
        parser.add_argument("action", choices=("show", "check", "schema"), metavar="show|check|schema")
        parser.add_argument("config", metavar="CONFIG", nargs="?")
    elif verb == "rerun":
        parser.add_argument("target", metavar="DIR", help="a run folder")


def _add_options(parser: argparse.ArgumentParser, job: Job, names: Sequence[str], level: str) -> None:
    if level != "after":
        names = (*names, "overwrite", "resume", "workers", "cluster")
    absent = {name for name in ("workers", "cluster") if not getattr(job, name)}
    for name in dict.fromkeys(names):
        if name not in absent:
            flags, settings = _OPTIONS[name]
            shown = {} if level == "after" or name in _COMMON else {"help": argparse.SUPPRESS}
            parser.add_argument(*flags, dest=f"{name}_{level}", **{**settings, **shown})
    parser.add_argument("--version", action=_Version, nargs=0, const=job, help="show the version")


def _merge_levels(args: argparse.Namespace) -> None:
    """Bring the options given before and after the verb together."""
    for name in _OPTIONS:
        given = [value for level in _LEVELS if (value := getattr(args, f"{name}_{level}", None)) is not None]
        if name not in (*args.takes, "verbose", "quiet") and given:
            raise UsageError(f"--{name} does not apply to {args.verb}")
        if name == "set":
            setattr(args, name, [text for texts in given for text in texts])
        elif name in ("verbose", "quiet"):
            setattr(args, name, sum(given))
        else:
            setattr(args, name, given[-1] if given else None)
    args.overwrite, args.resume = bool(args.overwrite), bool(args.resume)
    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers {args.workers}", remedy="give a number from 1 on")
    if args.cluster is not None:
        cluster.parse(args.cluster)


def main(jobs: Job | Mapping[str, Job], argv: Sequence[str] | None = None) -> int:
    """Run a package's command.

    Parameters
    ----------
    jobs : Job or mapping of str to Job
        One job, or several under their names.
    argv : sequence of str, optional
        The words after the command; ``sys.argv`` by default.

    Returns
    -------
    int
        The exit code.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser(jobs)
    if "_ARGCOMPLETE" in os.environ:
        with contextlib.suppress(ImportError):  # optional
            import argcomplete

            argcomplete.autocomplete(parser)
    try:
        args = parser.parse_args(words)
        _merge_levels(args)
    except UsageError as error:
        return _fail(parser.prog, error)
    except SystemExit as stop:  # --help, --version
        return int(stop.code or 0)
    args.command = [parser.prog, *words]
    with logs.to_stderr(args.verbose - args.quiet), _terminable():
        return _guarded(parser.prog, _handler(args), args)


def _handler(args: argparse.Namespace) -> Callable[[argparse.Namespace], int | None]:
    extra: Verb | None = args.extra
    if extra is None:
        return load_ref(f"esai_core.verbs:{args.verb}")
    if extra.takes is None:
        return load_ref(extra.call)
    return load_ref(f"esai_core.verbs:extra_on_{extra.takes}")


def _guarded(prog: str, call: Callable[[argparse.Namespace], int | None], args: argparse.Namespace) -> int:
    """Run a verb and turn whatever stops it into one line and an exit code."""
    try:
        return int(call(args) or 0)
    except KeyboardInterrupt as stop:
        said = [str(stop)] if str(stop) else getattr(stop, "__notes__", [])
        print("; ".join([f"{prog}: interrupted", "earlier results are untouched", *said]), file=sys.stderr)
        return 130
    except EsaiError as error:
        if args.verbose:
            traceback.print_exc()
        return _fail(prog, error, notes=getattr(error, "__notes__", []))
    except OSError as error:
        if args.verbose:
            traceback.print_exc()
        return _fail(prog, from_os_error(error))
    except MemoryError:
        return _fail(prog, EsaiError("out of memory", remedy="ask for less at once or for a larger machine"))
    except Exception as error:  # the last guard: a defect of ours, kept for the developers
        if args.verbose:
            traceback.print_exc()
        where = "; ".join(getattr(error, "__notes__", [])) or _keep_traceback(prog)
        text = f"unexpected {type(error).__name__}: {error}"
        return _fail(prog, EsaiError(text, where=where, remedy="this is a defect: please report it"))


def _fail(prog: str, error: EsaiError, *, notes: Sequence[str] = ()) -> int:
    print("; ".join([f"{prog}: error: {error}", *notes]), file=sys.stderr)
    return error.exit_code


def _keep_traceback(prog: str) -> str:
    name = prog.replace(" ", "-")
    with tempfile.NamedTemporaryFile("w", prefix=f"{name}-", suffix=".error.log", delete=False) as file:
        file.write(traceback.format_exc())
    return f"traceback in {file.name}"


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM (of a batch system) and SIGHUP interrupt like Ctrl-C, so that cleaning up happens."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    ours = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for number in ours:  # one that is ignored (nohup) stays ignored
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
