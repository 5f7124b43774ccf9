"""The command of the core: tasks on any gridded series, and batch scripts for the packages' commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from esai_core import cli
from esai_core.errors import EsaiError
from esai_core.job import load_ref
from esai_core.slurm import MACHINES, batch_script

__all__ = ["main"]

TASKS = {
    "gapfill": "esai_core.tasks.gapfill.job:GAPFILL",
    "nextframe": "esai_core.tasks.nextframe.job:NEXTFRAME",
}
"""Jobs with the verbs that every package has: ``esai-core gapfill run CONFIG --out DIR``."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="esai-core", description="Tasks on any gridded series, and tools around the packages' commands."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('esai-core')}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, ref in TASKS.items():  # `main` hands their words to the command line of jobs
        verbs.add_parser(name, help=load_ref(ref).summary, add_help=False)
    slurm = verbs.add_parser(
        "slurm",
        help="write a batch script that trains on several nodes",
        usage="esai-core slurm [options] -- COMMAND ...",
        epilog="example: esai-core slurm --machine mn5-acc --nodes 2 --account ehpc01 "
        "--out train.sh -- esai-seasonal run config.toml --out runs/a",
    )
    slurm.add_argument("--machine", default="generic", help=f"starting point: {', '.join(MACHINES)}")
    slurm.add_argument("--nodes", type=int, metavar="N", help="number of nodes")
    slurm.add_argument("--tasks", type=int, metavar="N", help="worker processes of each node")
    slurm.add_argument("--cpus", type=int, metavar="N", help="processors of each worker process")
    slurm.add_argument("--gpus", type=int, metavar="N", help="GPUs of each node")
    slurm.add_argument("--time", metavar="HH:MM:SS", help="limit of the job")
    for name in ("account", "qos", "partition"):
        slurm.add_argument(f"--{name}", help="as your site asks for it")
    slurm.add_argument(
        "--setup", action="append", metavar="LINE", help="line before the command (repeatable)"
    )
    slurm.add_argument("--out", type=Path, metavar="FILE", help="script to write; stdout by default")
    slurm.add_argument("command", nargs="*", metavar="COMMAND", help="what to run, after --")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in TASKS:
        return cli.main({name: load_ref(ref) for name, ref in TASKS.items()}, words)
    try:
        options = vars(_parser().parse_args(words))
    except SystemExit as stop:  # --help, --version, or argparse's own complaint
        return int(stop.code or 0)
    try:
        out, _ = options.pop("out"), options.pop("verb")
        setup = options.pop("setup")
        text = batch_script(options.pop("command"), setup=setup and tuple(setup), **options)
        if out is None:
            sys.stdout.write(text)
        else:
            _write(out, text)
    except EsaiError as error:
        print(f"esai-core: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _write(path: Path, text: str) -> None:
    from esai_core.io.atomic import atomic_path

    with atomic_path(path) as partial:
        partial.write_text(text, "utf-8")
    print(path)


if __name__ == "__main__":
    sys.exit(main())
