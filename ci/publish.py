"""Publish checked distributions to the index of a team; safe to run again.

    UV_PUBLISH_URL=https://index.example.org/ UV_PUBLISH_TOKEN=... \
        python3 tools/dev.py nox -s publish -- --check-url https://index.example.org/simple/ dist/release/*

Files that the index already holds with the same digest are passed over, so a publication that broke off is
completed by running it again. A file of the same name with other contents is an error: a version is never
made twice. Attestations (`*.publish.attestation` beside the files) go along where the index takes them;
`UV_PUBLISH_NO_ATTESTATIONS=true` leaves them out.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REMEDIES = (  # what the client says, and what to do about it
    (("401 ", "403 "), "the index refuses the token: check UV_PUBLISH_TOKEN"),
    (
        ("409 ", "do not match"),
        "the index holds this file with other contents. Where an upload broke off, have the broken "
        "file removed there and run this again; otherwise the version is taken: release the next one",
    ),
    (
        ("error sending request", "Connection refused", "dns error"),
        "the index is not reached: check UV_PUBLISH_URL",
    ),
)
PAGE = re.compile(r"\s*<!DOCTYPE.*?</html>", re.S | re.I)  # servers answer a program with a page for people


def uv() -> str:
    """Path of the uv beside this interpreter, or else on the PATH."""
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.exists() else shutil.which("uv") or "uv"


def publish(
    files: Sequence[Path], *, check_url: str | None = None, env: dict[str, str] | None = None
) -> tuple[int, str]:
    """Upload distributions with `uv publish`.

    Parameters
    ----------
    files : sequence of Path
        Wheels and sdists.
    check_url : str, optional
        Simple index to look for files that are there already; without it a second run stops at the first one.
    env : dict, optional
        Environment, with ``UV_PUBLISH_URL`` and ``UV_PUBLISH_TOKEN``; this process's by default.

    Returns
    -------
    int
        Exit status.
    str
        What the client said, with a remedy where the fault is a known one.
    """
    command = [uv(), "publish", "--no-progress", "--trusted-publishing", "never"]
    command += ["--check-url", check_url] if check_url else []
    done = subprocess.run([*command, *map(str, files)], env=env, text=True, capture_output=True)
    said = PAGE.sub("", done.stdout + done.stderr).strip()
    if done.returncode != 0:
        for marks, remedy in REMEDIES:
            if any(mark in said for mark in marks):
                return done.returncode, f"{said}\nerror: {remedy}"
    return done.returncode, said


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="publish", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--check-url", default=os.environ.get("UV_PUBLISH_CHECK_URL"))
    options = parser.parse_args(arguments)
    if not os.environ.get("UV_PUBLISH_URL"):
        print("error: UV_PUBLISH_URL is not set: it names the upload address of the team's index")
        return 2
    lost = [path for path in options.files if not path.is_file()]
    if lost:
        print(f"error: no such file: {lost[0]}; make it with `python3 tools/dev.py nox -s dist`")
        return 2
    status, said = publish(options.files, check_url=options.check_url)
    print(said)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
