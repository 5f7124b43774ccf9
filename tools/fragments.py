"""Check that a change which users can notice comes with a line for the changelog.

    python3 tools/dev.py nox -s fragments -- --base origin/main

A package whose sources or requirements differ from `--base` needs a new or changed fragment in its `changes/`
folder, and one of kind `removal` where its public API breaks since the last release.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import affected
import repo

KINDS = ("feature", "fix", "change", "removal")
NAME = re.compile(rf"(?:\+[a-z0-9-]+|\d+)\.(?:{'|'.join(KINDS)})(?:\.\d+)?\.md")
HOW = (
    "Write one line in the words of a user into changes/+short-name.KIND.md, where KIND is one of "
    f"{', '.join(KINDS)}"
)


def read(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Find the fragments of a package's folder: those that are right, and what is wrong with the others."""
    right, wrong = [], []
    for path in sorted((folder / "changes").glob("*")):
        if path.name.startswith("."):
            continue
        if not NAME.fullmatch(path.name):
            wrong.append((path, f"not the name of a fragment. {HOW}"))
        elif not path.read_text("utf-8").strip():
            wrong.append((path, f"the fragment is empty. {HOW}"))
        else:
            right.append(path)
    return right, wrong


def missing(files: Iterable[str], found: Sequence[repo.Package], root: Path) -> list[repo.Package]:
    """List the packages of which `files` (changed, relative to the root) hold sources but no fragment.

    A release takes the fragments away and writes the changelog instead, which counts as well.
    """
    names = list(files)
    lacking = []
    for package in found:
        place = package.folder.relative_to(root).as_posix()
        inside = [name.removeprefix(f"{place}/") for name in names if name.startswith(f"{place}/")]
        noticed = [name for name in inside if name.startswith("src/") or name == "pyproject.toml"]
        told = [name for name in inside if name.startswith("changes/") or name == "CHANGELOG.md"]
        if noticed and not told:
            lacking.append(package)
    return lacking


def faults(base: str, root: Path = repo.ROOT) -> list[str]:
    """Everything that is wrong with the fragments of a change, each with what to do."""
    import release

    found = repo.packages(root)
    changed = affected.changed(base, root)
    lines = [
        f"{package.name} has changed and no fragment tells its users. {HOW} "
        f"(in {package.folder.relative_to(root)})"
        for package in missing(changed, found, root)
    ]
    for package in found:
        right, wrong = read(package.folder)
        lines += [f"{path.relative_to(root)}: {text}" for path, text in wrong]
        versions = release.released(package.name, root)
        touched = any(name.startswith(f"{package.folder.relative_to(root)}/src/") for name in changed)
        announced = any(".removal" in path.name for path in right)
        if versions and touched and not announced:
            breaks = release.api_breaks(package, f"{package.name}-v{versions[-1]}", root)
            listed = "".join(f"\n    {line}" for line in breaks)
            if breaks:
                lines.append(
                    f"{package.name} breaks the public API of its {versions[-1]}:{listed}\n"
                    "  Keep the old names working, or say it in changes/+short-name.removal.md: the next "
                    "release is then no patch"
                )
    return lines


def main(arguments: Sequence[str] | None = None, root: Path = repo.ROOT) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="fragments", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--base", default="origin/main", help="commit to compare with (default: origin/main)")
    wrong = faults(parser.parse_args(arguments).base, root)
    for line in wrong:
        print(f"error: {line}")
    print("fragments: " + (f"{len(wrong)} errors" if wrong else "every change tells its users"))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
