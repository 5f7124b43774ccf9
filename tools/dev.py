"""One command for each thing a contributor does. Needs Python 3.11 and git, nothing else.

    python3 tools/dev.py demo [PACKAGE]         run a package's demo; the last line is the path of its report
    python3 tools/dev.py test [PACKAGE...]      everything that has to hold before a merge
    python3 tools/dev.py lint | types | docs | bench
    python3 tools/dev.py tutorials [PACKAGE...] follow the READMEs and tutorials, run the docstrings' examples
    python3 tools/dev.py minimums [PACKAGE...]  the tests with the oldest dependencies that are allowed
    python3 tools/dev.py release PACKAGE major|minor|patch|X.Y.Z [--dry-run]
    python3 tools/dev.py release-check [PACKAGE...]  rehearse a release of everything on this machine
    python3 tools/dev.py constraints [...]      compile the pinned versions (--check, --upgrade)
    python3 tools/dev.py new-package NAME ...   start a package from the template
    python3 tools/dev.py nox ...                anything else that the noxfile offers (--list)

What follows `--` is handed to the session, for example `test esai-core -- -k regrid`.
The first call makes `.tools/` (uv and nox, pinned by hash) and downloads what it needs; later calls reuse it.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # before anything that an older Python has not got
    sys.exit("esai needs Python 3.11 or newer; this is %s (%s)" % (sys.version.split()[0], sys.executable))

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import urllib.parse
import urllib.request
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import repo

TOOLS = repo.ROOT / ".tools"
REQUIREMENTS = repo.ROOT / "tools" / "requirements.txt"
DEMO = "esai-seasonal"
# Only for a Python that has neither ensurepip nor pip, such as Debian's without python3-venv and python3-pip.
PIP_WHEEL = "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"

SESSIONS = {
    "test": ["lint", "contracts", "types", "docs", "tooling", "tests", "release_check"],
    "lint": ["lint", "contracts"],
    "types": ["types"],
    "docs": ["docs"],
    "minimums": ["minimums"],
    "bench": ["bench"],
    "tutorials": ["tutorials"],
}
ALONE = {"test": ["types", "tests", "demo"]}  # for one package; the rehearsal runs every demo
WITH_ARGUMENTS = ("release", "release-check")  # sessions that take what follows
PER_PACKAGE = {"tutorials", "tests", "types", "minimums", "demo", "bench"}


def say(text: str) -> None:
    """Tell the user what is going on."""
    print(f"esai: {text}", flush=True)


def tool(name: str) -> Path:
    """Path of a program in `.tools`."""
    windows = os.name == "nt"
    return TOOLS / ("Scripts" if windows else "bin") / (f"{name}.exe" if windows else name)


def fingerprint() -> str:
    """Digest of what `.tools` depends on: the pinned requirements, the interpreter, the folder."""
    parts = [REQUIREMENTS.read_text("utf-8"), sys.version, sys.base_prefix, str(repo.ROOT)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def fetch_pip(folder: Path) -> Path:
    """Download the pinned pip wheel from the package index, for an interpreter that has no pip at all."""
    index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple").rstrip("/") + "/pip/"
    say(f"this Python has no pip: fetching {PIP_WHEEL} from {urllib.parse.urlsplit(index).hostname}")
    try:
        with urllib.request.urlopen(index, timeout=60) as answer:
            page = answer.read().decode()
        link = re.search(rf'"([^"]*{re.escape(PIP_WHEEL)})[#"]', page)
        if link is None:
            raise OSError(f"{PIP_WHEEL} is not there")
        with urllib.request.urlopen(urllib.parse.urljoin(index, link[1]), timeout=120) as answer:
            content = answer.read()
    except OSError as error:
        sys.exit(f"esai: cannot fetch pip: {error}\nesai: install python3-venv or python3-pip and try again")
    if hashlib.sha256(content).hexdigest() != PIP_SHA256:
        sys.exit(f"esai: {PIP_WHEEL} from the index is not the file that is pinned; stopped")
    wheel = folder / PIP_WHEEL
    wheel.write_bytes(content)
    return wheel


def make_tools() -> None:
    """Create `.tools` with uv and nox where it is not there or not the one that is asked for."""
    stamp = TOOLS / "esai-tools.txt"
    wanted = fingerprint()
    if stamp.exists() and stamp.read_text("utf-8") == wanted and tool("python").exists():
        return
    say("making .tools with uv and nox (once; needs the package index)")
    shutil.rmtree(TOOLS, ignore_errors=True)
    with_pip = importlib.util.find_spec("ensurepip") is not None
    venv.create(TOOLS, with_pip=with_pip, symlinks=os.name != "nt")
    with tempfile.TemporaryDirectory() as scratch:
        if with_pip:
            pip = [str(tool("python")), "-m", "pip"]
        elif importlib.util.find_spec("pip") is not None:
            pip = [sys.executable, "-m", "pip", "--python", str(tool("python"))]
        else:
            pip = [str(tool("python")), str(fetch_pip(Path(scratch)) / "pip")]
        pip += ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
        done = subprocess.run([*pip, "--require-hashes", "--requirement", str(REQUIREMENTS)])
    if done.returncode != 0:
        sys.exit("esai: uv and nox could not be installed; pip says why above")
    stamp.write_text(wanted, "utf-8")


def environment() -> dict[str, str]:
    """Environment of the tools: that of the user, without what would leak another Python into it."""
    leaks = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    env = {name: value for name, value in os.environ.items() if name not in leaks}
    env["PATH"] = f"{TOOLS / ('Scripts' if os.name == 'nt' else 'bin')}{os.pathsep}{env.get('PATH', '')}"
    return env


def nox(*arguments: str) -> int:
    """Run nox of `.tools` on the noxfile; its exit status."""
    command = [str(tool("python")), "-m", "nox", "--noxfile", str(repo.ROOT / "noxfile.py"), *arguments]
    return subprocess.run(command, cwd=repo.ROOT, env=environment()).returncode


def script(name: str, *arguments: str) -> int:
    """Run a script of `tools/` with the Python of `.tools`; its exit status."""
    command = [str(tool("python")), str(repo.ROOT / "tools" / name), *arguments]
    return subprocess.run(command, env=environment()).returncode


def sessions(command: str, packages: list[str]) -> list[str]:
    """Names of the nox sessions of a command, narrowed to `packages` where given."""
    if not packages:
        return SESSIONS[command]
    names = ALONE.get(command, SESSIONS[command])
    for name in packages:
        repo.find(name)  # stops with the list of names where there is no such package
    if not PER_PACKAGE.intersection(names):
        raise SystemExit(f"`{command}` is not run for one package; leave the name out")
    return [
        f"{session}({name})"
        for session in names
        if session in PER_PACKAGE
        for name in packages
        if not (session == "demo" and name == repo.CORE)
    ]


def demo(package: str) -> int:
    """Run one demo; the last line on stdout is the path of its report."""
    if repo.find(package).name == repo.CORE:
        raise SystemExit(f"{repo.CORE} has no demo of its own; try {DEMO}")
    say(f"demo of {package}: build, install as a user would, run (the first time downloads its dependencies)")
    status = nox("--session", f"demo({package})")
    report = repo.ROOT / "runs" / f"demo-{package}" / "report.html"
    if status == 0 and not report.is_file():
        say(f"the demo left no {report.relative_to(repo.ROOT)}")
        return 1
    if status == 0:
        print(report, flush=True)
    return status


def main(arguments: list[str]) -> int:
    """Run one command; the exit status."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command in ("-h", "--help", "help"):
        print((__doc__ or "").strip())
        return 0
    if command not in ("demo", "nox", "constraints", "new-package", *WITH_ARGUMENTS, *SESSIONS):
        say(f"there is no command {command!r}; `python3 tools/dev.py --help` lists them")
        return 2
    make_tools()
    if command == "nox":
        return nox(*rest)
    if command in WITH_ARGUMENTS:
        return nox("--session", command.replace("-", "_"), "--", *rest)
    if command in ("constraints", "new-package"):
        return script(command.replace("-", "_") + ".py", *rest)
    cut = rest.index("--") if "--" in rest else len(rest)
    names, handed_on = rest[:cut], rest[cut:]
    if command == "demo":
        return demo(names[0] if names else DEMO)
    chosen = sessions(command, names)
    if handed_on and command == "test":  # they are pytest's
        chosen = [name for name in chosen if name != "release_check"]
    return nox("--session", *chosen, *handed_on)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
