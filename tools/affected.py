"""Which packages a change touches, from the packages' own metadata.

    python3 tools/affected.py --base origin/main          names, one a line
    python3 tools/affected.py --base origin/main --json   {"packages": [...], "docs": true, "tooling": false}
    python3 tools/affected.py --base origin/main --outputs   the same as lines, for the jobs of CI

A file of a package touches that package and those that require it (so the core touches all of them). Pages of
docs/ and the text files at the root touch the site alone, benchmarks touch nothing. Anything else (tools, CI,
settings at the root) touches everything.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parent))
import repo

TEXTS = {"README.md", "CONTRIBUTING.md", "SECURITY.md", "CITATION.cff", "LICENSE", ".gitignore"}


@dataclass(frozen=True)
class Affected:
    """What has to be checked again."""

    packages: list[str]
    docs: bool
    tooling: bool


def affected(files: Iterable[str], found: Sequence[repo.Package], root: Path = repo.ROOT) -> Affected:
    """Work out what a change of `files` (relative to the root, with /) touches."""
    places = [(package.folder.relative_to(root).as_posix(), package.name) for package in found]
    places += [(f"ci/constraints/{package.name}.txt", package.name) for package in found]
    touched: set[str] = set()
    docs = tooling = False
    for file in files:
        path = PurePosixPath(file)
        owner = next((name for place, name in places if path.is_relative_to(place)), None)
        if owner:
            touched.add(owner)
        elif path.is_relative_to("benchmarks"):
            continue
        elif path.is_relative_to("docs") or file in TEXTS:
            docs = True
        else:
            tooling = True
    if tooling:
        return Affected([package.name for package in found], docs=True, tooling=True)
    names = [package.name for package in found if package.name in touched or package.siblings & touched]
    return Affected(names, docs=docs or bool(names), tooling=False)


def changed(base: str, root: Path = repo.ROOT) -> list[str]:
    """Files that differ between the point where HEAD left `base` and the working tree, old names included."""
    start = subprocess.run(["git", "merge-base", base, "HEAD"], cwd=root, text=True, capture_output=True)
    if start.returncode != 0:
        raise SystemExit(f"git knows no common commit of {base!r} and HEAD: {start.stderr.strip()}")
    command = ["git", "diff", "--name-only", "--no-renames", "-z", start.stdout.strip()]
    listed = subprocess.run(command, cwd=root, check=True, text=True, capture_output=True).stdout
    new = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
    listed += subprocess.run(new, cwd=root, check=True, text=True, capture_output=True).stdout
    return sorted({name for name in listed.split("\0") if name})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="affected", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--base", default="origin/main", help="commit to compare with (default: origin/main)")
    parser.add_argument("--json", action="store_true", help="one JSON object, for a CI matrix")
    parser.add_argument("--outputs", action="store_true", help="NAME=VALUE lines, for a job's outputs")
    parser.add_argument("--all", action="store_true", help="as if everything had changed")
    options = parser.parse_args(arguments)
    files = ["noxfile.py"] if options.all else changed(options.base)
    result = affected(files, repo.packages())
    if options.outputs:
        print(f"packages={json.dumps(result.packages)}")
        for name, holds in {
            "any": bool(result.packages),
            "core": repo.CORE in result.packages,
            "docs": result.docs,
            "tooling": result.tooling,
        }.items():
            print(f"{name}={str(holds).lower()}")
    else:
        print(json.dumps(asdict(result)) if options.json else "\n".join(result.packages))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
