"""Run the tests of the last released packages against the core of this tree.

    python3 tools/dev.py nox -s core_compat                       every package that has a release
    python3 tools/dev.py nox -s core_compat -- esai-fire -- -k windows

What a user has after upgrading the core alone: the package as it was tagged, its own tests and constraints,
and the new core. A failure here means that the new core breaks a released package: keep what it relies on, or
let the package's next release ask for the new core before the core is released.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
import check_dist
import installing
import publish
import release
import repo


def extract(tag: str, package: repo.Package, target: Path, root: Path) -> repo.Package:
    """Lay out the package, its constraints and the settings of the tests as they were at a tag."""
    place = package.folder.relative_to(root).as_posix()
    pinned = package.constraints.relative_to(root).as_posix()
    command = ["git", "archive", tag, "--", place, pinned, "pyproject.toml"]
    done = subprocess.run(command, cwd=root, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"git archive {tag} failed: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(target, filter="data")
    text = (target / place / "pyproject.toml").read_text("utf-8")
    return repo.Package(target / place, tomllib.loads(text))


def test(tag: str, package: repo.Package, core: Path, root: Path, options: Sequence[str]) -> int:
    """Run the tests of one release on the new core; pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        old = extract(tag, package, scratch / "tree", root)
        wheel = check_dist.build(old.folder, scratch / "dist", kinds=["wheel"])[0]
        place = installing.fresh(scratch / "environment")
        extras = ",".join(repo.tested_extras(old))
        group = old.metadata.get("dependency-groups", {}).get("test", [])
        command = [
            publish.uv(),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(installing.python(place)),
            str(core),
        ]
        command += [f"{wheel}[{extras}]" if extras else str(wheel), *repo.twins(old, root), *group]
        command += ["--constraint", str(old.constraints)]
        if installing.run(command).returncode != 0:
            print(f"error: {tag} and the new core cannot be installed together")
            return subprocess.run(command, cwd=repo.ROOT).returncode or 1
        pytest = [
            str(installing.python(place)),
            "-m",
            "pytest",
            "-q",
            "-c",
            str(scratch / "tree/pyproject.toml"),
        ]
        pytest += [
            "--rootdir",
            str(old.folder),
            "-p",
            "no:cacheprovider",
            str(old.folder / "tests"),
            *options,
        ]
        (scratch / "empty").mkdir()
        return subprocess.run(pytest, cwd=scratch / "empty", env=installing.environment()).returncode


def main(arguments: Sequence[str] | None = None, root: Path = repo.ROOT) -> int:
    """Run the command line; the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    cut = given.index("--") if "--" in given else len(given)
    names, options = given[:cut], given[cut + 1 :]
    chosen = [repo.find(name, root) for name in names] or repo.packages(root)[1:]
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        core = check_dist.build(repo.find(repo.CORE, root).folder, Path(folder), kinds=["wheel"])[0]
        for package in chosen:
            versions = release.released(package.name, root)
            if not versions:
                print(f"{package.name}: no release yet, nothing to hold")
                continue
            tag = f"{package.name}-v{versions[-1]}"
            status = test(tag, package, core, root, options)
            print(
                f"{tag} on {core.name.split('-py3')[0]}: {'passes' if status == 0 else 'FAILS'}", flush=True
            )
            failed += [tag] if status else []
    if failed:
        print(
            f"error: the core of this tree breaks {', '.join(failed)}: keep what they rely on, or release "
            "versions of them that ask for the new core first"
        )
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
