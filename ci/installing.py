"""Fresh environments with one package from an index: install, look at what came, run the demo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
import loopback
import publish
import repo

NAME = "ESAI"  # of the internal index, as in the variables that hold its account
LOOKUP = re.compile(r"(?:https?|file)://[^\s`'\"]+/simple/[a-z0-9._-]+/")


def python(place: Path) -> Path:
    """Interpreter of an environment."""
    return place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def environment() -> dict[str, str]:
    """Environment of an installer: this process's, without its Python, with the reader's account."""
    leaks = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "ESAI_DATA", "UV_INDEX", "UV_DEFAULT_INDEX")
    plain = {name: value for name, value in os.environ.items() if name not in leaks}
    account = {
        f"UV_INDEX_{NAME}_USERNAME": loopback.READER[0],
        f"UV_INDEX_{NAME}_PASSWORD": loopback.READER[1],
    }
    return {**plain, **account, "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "2", "NO_COLOR": "1"}


def run(command: Sequence[object]) -> subprocess.CompletedProcess[str]:
    """Run a program from the root, where uv finds the tree's settings (the CPU twins)."""
    return subprocess.run(
        list(map(str, command)), cwd=repo.ROOT, env=environment(), text=True, capture_output=True
    )


def fresh(place: Path) -> Path:
    """Make an empty environment."""
    done = run([publish.uv(), "venv", "--quiet", "--python", sys.executable, place])
    if done.returncode != 0:
        raise SystemExit(f"no environment: {done.stderr}")
    return place


def install(
    place: Path, index: loopback.Index, package: str, *options: str, twins: Sequence[str] = ()
) -> tuple[float, str]:
    """Install a package as the documentation says: ours from the index, the rest from the usual one.

    Returns
    -------
    float
        Seconds it took.
    str
        The installer's log, every look-up included.
    """
    command = [publish.uv(), "pip", "install", "--verbose", "--no-progress", "--python", python(place)]
    command += ["--index", f"{NAME.lower()}={index.simple}", *options, package, *twins]
    started = time.perf_counter()
    done = run(command)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if not line.startswith(("DEBUG", "TRACE"))]
        raise SystemExit(f"{package} cannot be installed: " + "\n".join(said[-40:]))
    return time.perf_counter() - started, done.stderr


def resolve(
    place: Path, index: loopback.Index, package: str, *options: str, deep: bool = False
) -> tuple[int, str]:
    """Ask which file of one package would be installed, without what it requires; `deep` installs it."""
    if not place.exists():
        fresh(place)
    command = [publish.uv(), "pip", "install", "--no-deps", "--refresh", "--python", python(place)]
    command += [
        "--index",
        f"{NAME.lower()}={index.simple}",
        *options,
        *([] if deep else ["--dry-run"]),
        package,
    ]
    done = run(command)
    return done.returncode, done.stdout + done.stderr


def lookups(log: str) -> set[str]:
    """Addresses of the projects' pages that an installer asked for or had in its cache, without accounts."""
    found = set()
    for url in LOOKUP.findall(log):
        parts = urlsplit(url)
        found.add(url.replace(f"{parts.username}:{parts.password}@", "").replace("****@", ""))
    return found


def distributions(place: Path) -> dict[str, str]:
    """Version of each distribution in an environment."""
    done = run([publish.uv(), "pip", "list", "--format", "json", "--python", python(place)])
    return {item["name"]: item["version"] for item in json.loads(done.stdout)}


def size(place: Path) -> int:
    """Bytes of the files in an environment, links followed nowhere."""
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and not path.is_symlink())


def demo(place: Path, package: str, verb: Sequence[str], out: Path) -> float:
    """Run the demo of a package in a folder of its own; its seconds. SystemExit where it leaves no report."""
    out.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    command = [str(python(place).parent / package), *verb, "--out", out.name]
    done = subprocess.run(command, cwd=out.parent, env=environment(), text=True, capture_output=True)
    last = done.stdout.strip().splitlines()[-1:] or [""]
    if done.returncode != 0 or not Path(last[0]).is_file():
        raise SystemExit(f"the demo of {package} failed: {done.stdout[-500:]}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def follow(place: Path, package: str, verb: Sequence[str], out: Path) -> str:
    """Follow the pages of a package word for word where its demo (`verb`) was run; what was said of each."""
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [str(python(place)), str(repo.ROOT / "ci" / "check_commands.py"), package]
    command += ["--folder", str(out.parent), *(["--demo", *verb, out.name] if verb else [])]
    done = subprocess.run(command, cwd=out.parent, env=environment(), text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"the pages of {package} do not hold: {done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def bill_of_materials(place: Path, target: Path) -> set[str]:
    """Write the SBOM (CycloneDX) of an environment; the names in it."""
    command = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON"]
    done = run([*command, "--output-file", target, python(place)])
    if done.returncode != 0:
        raise SystemExit(f"no SBOM: {done.stderr[-2000:]}")
    components = json.loads(target.read_text("utf-8"))["components"]
    return {re.sub(r"[-_.]+", "-", item["name"]).lower() for item in components}


def page(rows: Sequence[dict], minutes: float) -> str:
    """Write the page of the documentation that holds the measured table; `minutes` of the whole rehearsal."""
    lines = [
        "# What an installation brings",
        "",
        f"Measured by `python3 tools/dev.py release-check` on {time.strftime('%Y-%m-%d')} with Python "
        f"{sys.version_info[0]}.{sys.version_info[1]} on Linux, two cores: each package alone in a fresh",
        "environment, from an internal index, the rest from the usual one. The downloads were in the",
        "installer's cache, so the time is that of resolving and linking. TensorFlow and XGBoost are",
        "counted in their CPU builds ([0005](../decisions/0005-cpu-twins.md)).",
        "",
        "| package | version | distributions | size | install | demo | TensorFlow |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        shown = f"{row['demo_s']:.0f} s" if row["demo_s"] is not None else "none"
        lines.append(
            f"| {row['package']} | {row['version']} | {row['distributions']} | {row['megabytes']:.0f} MB | "
            f"{row['install_s']:.0f} s | {shown} | {'yes' if row['tensorflow'] else 'no'} |"
        )
    lines += ["", f"The whole rehearsal took {minutes:.1f} minutes."]
    return "\n".join(lines) + "\n"
