"""The sessions that check the tree. `python3 tools/dev.py` brings nox and uv and calls them; so does CI.

Packages are tested as users get them: the wheels of the core and of one package, installed by their path into
an environment of their own with that package's constraints, the tests run from an empty folder.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import nox
import nox.command

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT / "tools"))

import repo

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "contracts", "types", "docs", "tooling", "tests", "release_check"]

DIST = ROOT / "dist"
RUNS = ROOT / "runs"
TEST_RUNNER = ROOT / "ci" / "requirements" / "tests.txt"
SOURCE_DATE = "1704067200"  # timestamps inside the wheels, so that the same sources give the same bytes
PACKAGES = [package.name for package in repo.packages()]
EACH = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES])
EACH_JOB = nox.parametrize("package", [nox.param(name, id=name) for name in PACKAGES if name != repo.CORE])
PARALLEL = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
QUIET = {"MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONDONTWRITEBYTECODE": ""}


def install(session: nox.Session, *arguments: str, files: list[Path]) -> None:
    """Install into the session's environment, unless it already holds exactly this.

    The environment is told apart by the arguments and the contents of `files` (wheels, constraints), not by
    names and versions: a wheel that changed without a new version is installed again. What is no longer asked
    for is removed.
    """
    parts = [session.python or sys.version, *arguments]
    digest = hashlib.sha256(json.dumps([str(part) for part in parts]).encode())
    for path in [*files, ROOT / "pyproject.toml"]:
        digest.update(path.read_bytes())
    stamp = Path(session.virtualenv.location) / "esai-installed.txt"
    if stamp.exists() and stamp.read_text("utf-8") == digest.hexdigest():
        session.log("the environment is as it should be")
        return
    stamp.unlink(missing_ok=True)
    session.install(*(["--exact"] if session.venv_backend == "uv" else []), *arguments, silent=False)
    stamp.write_text(digest.hexdigest(), "utf-8")


def install_tools(session: nox.Session, name: str) -> None:
    """Install one of the hash-pinned sets of tools in ci/requirements."""
    listed = ROOT / "ci" / "requirements" / f"{name}.txt"
    install(session, "--require-hashes", "--requirement", str(listed), files=[listed])


def wheel(package: repo.Package) -> Path:
    """Wheel of a package that the build session made in this run."""
    return DIST / f"{package.module}-{package.metadata['project']['version']}-py3-none-any.whl"


def install_package(
    session: nox.Session, name: str, *beside: str, tests: bool, pinned: bool = True
) -> repo.Package:
    """Install the wheels of the core and of one package by path, with the package's constraints.

    Parameters
    ----------
    beside : str
        More arguments of the installer.
    tests : bool
        Whether to add what the tests need: the optional extras, the package's test group and pytest-xdist.
    pinned : bool
        Use the constraints (the default), or leave the versions to the installer.
    """
    package = repo.find(name)
    extras = f"[{','.join(repo.tested_extras(package))}]" if tests and repo.tested_extras(package) else ""
    wheels = [wheel(repo.find(repo.CORE))] if name != repo.CORE else []
    arguments = [*map(str, wheels), f"{wheel(package)}{extras}", *beside]
    wheels.append(wheel(package))
    if session.venv_backend == "uv":
        arguments += repo.twins(package)  # the root pyproject.toml drops what they stand in for
        arguments += [f"--reinstall-package={path.name.split('-')[0].replace('_', '-')}" for path in wheels]
    if tests:
        arguments += package.metadata.get("dependency-groups", {}).get("test", [])
        arguments.append("pytest-xdist>=3.6")
    if tests and pinned:
        arguments += ["--constraint", str(TEST_RUNNER)]
        wheels.append(TEST_RUNNER)
    if pinned:
        arguments += ["--constraint", str(package.constraints)]
        wheels.append(package.constraints)
    install(session, *arguments, files=wheels)
    return package


def run_tests(session: nox.Session, package: repo.Package, *options: str) -> None:
    """Run a package's tests on what is installed, from an empty folder; `options` go to pytest."""
    folder = package.folder / "tests"
    if not any(folder.rglob("test_*.py")):
        session.skip(f"{package.name} has no tests yet")
    with tempfile.TemporaryDirectory() as scratch, session.chdir(scratch):
        shown = (
            f"import {package.module} as p, sys; sys.exit('site-packages' not in p.__file__ and p.__file__)"
        )
        session.run("python", "-c", shown, silent=True)
        arguments = [
            "-c",
            str(ROOT / "pyproject.toml"),
            "--rootdir",
            str(package.folder),
            "-p",
            "no:cacheprovider",
            *PARALLEL,
        ]
        session.run("pytest", *arguments, *options, str(folder), *session.posargs, env=QUIET)


@nox.session(reuse_venv=True)
def build(session: nox.Session) -> None:
    """Build the wheel of every package into dist/."""
    install_tools(session, "build")
    DIST.mkdir(exist_ok=True)
    env = {"SOURCE_DATE_EPOCH": SOURCE_DATE}
    with tempfile.TemporaryDirectory(dir=DIST) as scratch:  # moved into place when whole
        for package in repo.packages():
            made = Path(scratch) / wheel(package).name
            command = ["hatchling", "build", "--target", "wheel", "--directory", scratch]
            with session.chdir(package.folder):
                session.run(*command, env=env, silent=True)
            if not made.is_file():
                session.error(f"the build of {package.name} did not make {made.name}")
            made.replace(wheel(package))
            for old in set(DIST.glob(f"{package.module}-*.whl")) - {wheel(package)}:
                old.unlink()


@nox.session(reuse_venv=True, requires=["build"])
@EACH
def tests(session: nox.Session, package: str) -> None:
    """Test one package, installed from wheels, with its constraints."""
    run_tests(session, install_package(session, package, tests=True))


@nox.session(reuse_venv=True, requires=["build"])
@EACH
def minimums(session: nox.Session, package: str) -> None:
    """Test one package with the oldest versions of its direct dependencies."""
    # Only what is named counts as direct, and a wheel's requirements do not: name them, the core's too.
    direct = [line for line in repo.reachable(repo.find(package)) if repo.requirement_name(line) != repo.CORE]
    lowest = ["--upgrade", "--resolution", "lowest-direct", *direct]
    found = install_package(session, package, *lowest, tests=True, pinned=False)
    session.run("python", "tools/check_floors.py", package)
    # An old library may use what a newer one, further down, has deprecated: that is not ours to mend.
    old = [
        f"default::{kind}" for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning")
    ]
    run_tests(session, found, *(part for kind in old for part in ("-W", kind)))


@nox.session(reuse_venv=True)
def lint(session: nox.Session) -> None:
    """Check style, files and declared dependencies."""
    install_tools(session, "lint")
    workflows = sorted(str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    checks = [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy", "noxfile.py", "tools", "ci", "benchmarks/run.py"],
        ["python", "tools/check_files.py"],
        ["python", "tools/check_dependencies.py"],
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows],
        ["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", ".gitlab-ci.yml"],
    ]
    failed = []
    for check in checks:  # all of them: one fault should not hide another
        try:
            session.run(*check)
        except nox.command.CommandFailed:
            failed.append(" ".join(check))
    if failed:
        session.error(f"failed: {'; '.join(failed)}")


@nox.session(reuse_venv=True, name="format")
def reformat(session: nox.Session) -> None:
    """Sort imports and format; of the paths given, or of everything."""
    install_tools(session, "lint")
    session.run("ruff", "check", "--select", "I", "--fix", *(session.posargs or ["."]))
    session.run("ruff", "format", *(session.posargs or ["."]))


@nox.session(venv_backend="none")
def dev(session: nox.Session) -> None:
    """Make .venv for an editor: every package in editable form, with what its tests need."""
    arguments = ["mypy", "ruff"]
    for package in repo.packages():
        extras = ",".join(repo.tested_extras(package))
        arguments += ["--editable", f"{package.folder}[{extras}]" if extras else str(package.folder)]
        arguments += [*repo.twins(package), *package.metadata.get("dependency-groups", {}).get("test", [])]
    session.run(
        "uv", "venv", "--allow-existing", "--python", sys.executable, str(ROOT / ".venv"), external=True
    )
    session.run("uv", "pip", "install", "--python", str(ROOT / ".venv"), *arguments, external=True)


@nox.session(reuse_venv=True)
def contracts(session: nox.Session) -> None:
    """Check that imports go down only, and that packages require no sibling but the core."""
    install_tools(session, "lint")
    session.run("python", "tools/check_imports.py")


@nox.session(reuse_venv=True, requires=["build"])
@EACH
def types(session: nox.Session, package: str) -> None:
    """Check the types of one package against its real dependencies."""
    pins = ROOT / "ci" / "requirements" / "types.txt"
    found = install_package(session, package, "mypy", "--constraint", str(pins), tests=True)
    session.run("mypy", str(found.folder / "src"))


@nox.session(reuse_venv=True)
def tooling(session: nox.Session) -> None:
    """Test the tools, and that a package made from the template passes every check."""
    install_tools(session, "release")
    with tempfile.TemporaryDirectory() as scratch, session.chdir(scratch):
        arguments = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
        session.run("pytest", *arguments, str(ROOT / "tools" / "tests"), *session.posargs)


@nox.session(reuse_venv=True)
def docs(session: nox.Session) -> None:
    """Build the documentation site; a warning is an error."""
    install_tools(session, "docs")
    output = ROOT / "docs" / "_build" / "html"
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-j", "auto", "-b", "html", "docs", str(output))
    session.log(f"the site is at {output / 'index.html'}")


@nox.session(reuse_venv=True, requires=["build"])
@EACH_JOB
def demo(session: nox.Session, package: str) -> None:
    """Install one package as a user would and run its demo."""
    install_package(session, package, tests=False)
    # A package of several jobs names the one whose demo is shown: [tool.esai] demo = ["mos", "demo"].
    verb = repo.find(package).metadata.get("tool", {}).get("esai", {}).get("demo", ["demo"])
    session.run(package, *verb, "--out", str(RUNS / f"demo-{package}"), "--overwrite", env=QUIET)


@nox.session(reuse_venv=True, requires=["build"])
@EACH
def tutorials(session: nox.Session, package: str) -> None:
    """Follow the README and pages of one package word for word; run the examples in its docstrings."""
    install_package(session, package, tests=False)
    session.run("python", "ci/check_commands.py", package, env=QUIET)


@nox.session(reuse_venv=True)
def fragments(session: nox.Session) -> None:
    """Check that a change which users can notice comes with a line for the changelog (-- --base COMMIT)."""
    install_tools(session, "release")
    session.run("python", "tools/fragments.py", *session.posargs)


@nox.session(reuse_venv=True)
def release(session: nox.Session) -> None:
    """Make a release of one package: version, changelog, commit, tag (-- PACKAGE VERSION)."""
    install_tools(session, "release")
    session.run("python", "tools/release.py", *session.posargs)


@nox.session(reuse_venv=True)
def dist(session: nox.Session) -> None:
    """Build the distributions that are published, and check them (-- PACKAGE...)."""
    install_tools(session, "release")
    session.run("python", "ci/check_dist.py", *session.posargs)


@nox.session(reuse_venv=True)
def released(session: nox.Session) -> None:
    """Check a release that was tagged, and build and check what is published of it (-- TAG)."""
    install_tools(session, "release")
    tag = session.posargs[0] if session.posargs else session.error("which tag? -- esai-fire-v0.2.0")
    session.run("python", "tools/release.py", "--check-tag", tag)
    session.run("python", "ci/check_dist.py", tag.rpartition("-v")[0])


@nox.session(reuse_venv=True)
def publish(session: nox.Session) -> None:
    """Publish checked distributions to UV_PUBLISH_URL; safe to run again (-- FILES)."""
    install_tools(session, "release")
    session.run("python", "ci/publish.py", *session.posargs)


@nox.session(reuse_venv=True)
def release_check(session: nox.Session) -> None:
    """Rehearse the release of every package against an index on this machine."""
    install_tools(session, "release")
    session.run("python", "ci/release_check.py", *session.posargs)


@nox.session(reuse_venv=True)
def audit(session: nox.Session) -> None:
    """Look pinned dependencies up among known weaknesses (another list: -- --vulnerability-service osv)."""
    install_tools(session, "audit")
    for package in repo.packages():
        listed = ["--requirement", str(package.constraints), "--no-deps", "--disable-pip", "--strict"]
        session.run("pip-audit", *listed, *session.posargs)


@nox.session(reuse_venv=True)
def core_compat(session: nox.Session) -> None:
    """Test the last released packages against the core of this tree."""
    install_tools(session, "release")
    session.run("python", "ci/core_compat.py", *session.posargs)


@nox.session(reuse_venv=True, requires=["build"])
@EACH
def bench(session: nox.Session, package: str) -> None:
    """Run the benchmarks of one package, in one environment with the libraries they compare with."""
    folder = ROOT / "benchmarks" / package
    if not any(folder.glob("bench_*.py")):
        session.skip(f"{package} has no benchmarks")
    peers = folder / "requirements.txt"
    listed = ["--requirement", str(peers)] if peers.exists() else []
    install_package(session, package, *listed, tests=True)
    session.run("python", "benchmarks/run.py", package, *session.posargs, env=QUIET)
