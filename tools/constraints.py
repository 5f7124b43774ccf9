"""Compile the pinned versions that the checks are run with.

`ci/constraints/PACKAGE.txt` holds the versions of one package, resolved for that package alone: there is no
lock for the whole tree (docs/decisions). Each file is universal: it serves every Python and platform.
`tools/requirements.txt` and `ci/requirements/*.txt` pin the tools themselves, with hashes.

    python3 tools/dev.py constraints              compile all, keeping the versions that still fit
    python3 tools/dev.py constraints --upgrade    take the newest versions
    python3 tools/dev.py constraints --check      write nothing; exit 1 where a file is out of date
"""

from __future__ import annotations

import argparse
import difflib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import repo

OLDEST_PYTHON = "3.11"
HEADER = "# Made by `python3 tools/dev.py constraints`; do not edit.\n"


def uv() -> str:
    """Path of the uv beside this interpreter, or else on the PATH."""
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise SystemExit("uv is not here; run `python3 tools/dev.py constraints`, which brings it")
    return found


def resolve(
    sources: Sequence[str], target: Path, *, upgrade: bool, root: Path, start: Path | None = None
) -> str:
    """Resolve `sources` to the text of a requirements file; pins of `target` (else `start`) that fit stay."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "out.txt"
        known = target if target.exists() or start is None else start
        if known.exists() and not upgrade:
            shutil.copyfile(known, output)
        command = [
            uv(),
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--python-version",
            OLDEST_PYTHON,
            "--no-header",
        ]
        command += ["--no-annotate", "--output-file", str(output), *sources]
        done = subprocess.run(command, cwd=root, text=True, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(f"{target.relative_to(root)}: no set of versions fits\n{done.stderr}")
        return HEADER + output.read_text("utf-8")


def package_text(package: repo.Package, *, upgrade: bool, root: Path) -> str:
    """Resolve one package: itself, every extra but the CUDA one, its tests, the core from this tree."""
    project = str((package.folder / "pyproject.toml").relative_to(root))
    with tempfile.TemporaryDirectory() as scratch:
        extra = Path(scratch) / "beside.in"
        lines = repo.twins(package, root)
        if package.name != repo.CORE:
            lines.append(f"{repo.CORE} @ {(root / 'shared' / repo.CORE).as_uri()}")
        extra.write_text("".join(f"{line}\n" for line in lines), "utf-8")
        sources = [project, str(extra), "--no-emit-package", repo.CORE]
        for name in sorted(set(package.extras) - {"gpu"}):
            sources += ["--extra", name]
        if "test" in package.metadata.get("dependency-groups", {}):
            sources += ["--group", f"{project}:test"]
        # A new package starts from the pins of the core, which the pins of the test tools go along with.
        start = repo.find(repo.CORE, root).constraints
        return resolve(sources, package.constraints, upgrade=upgrade, root=root, start=start)


def compiled(names: Sequence[str], *, upgrade: bool, root: Path) -> dict[Path, str]:
    """Every file this tool makes, with its text; only those of the packages called `names` where given."""
    chosen = [repo.find(name, root) for name in names] or repo.packages(root)
    texts = {package.constraints: package_text(package, upgrade=upgrade, root=root) for package in chosen}
    if not names:
        for source in [
            root / "tools" / "requirements.in",
            *sorted((root / "ci" / "requirements").glob("*.in")),
        ]:
            target = source.with_suffix(".txt")
            lines = [str(source.relative_to(root)), "--generate-hashes"]
            texts[target] = resolve(lines, target, upgrade=upgrade, root=root)
    return texts


def main(arguments: Sequence[str] | None = None, root: Path = repo.ROOT) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="constraints", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("package", nargs="*", help="only the constraints of these packages")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    parser.add_argument(
        "--check", action="store_true", help="write nothing, exit 1 where a file is out of date"
    )
    options = parser.parse_args(arguments)
    stale = False
    for path, text in compiled(options.package, upgrade=options.upgrade, root=root).items():
        name = path.relative_to(root).as_posix()
        current = path.read_text("utf-8") if path.exists() else ""
        if text == current:
            print(f"{name}: as it was")
        elif options.check:
            stale = True
            print(f"{name}: out of date; run `python3 tools/dev.py constraints`")
            print(
                "\n".join(
                    difflib.unified_diff(
                        current.split("\n"), text.split("\n"), "now", "wanted", n=0, lineterm=""
                    )
                )
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            print(f"{name}: written")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
