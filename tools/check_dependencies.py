"""Check that each package declares what it imports and imports what it declares (deptry); its tests likewise.

The sources are read, nothing is installed, so names that differ between the index and Python are listed here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import repo

MODULES = {  # name on the index: name in Python, where they differ by more than - and _
    "netcdf4": "netCDF4",
    "odc-stac": "odc",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}

OTHER_BACKENDS = {"jax", "torch"}  # Keras can be told to use them; then tests import them too
LOADED = {  # declared for another library that loads them by name, so no import of ours shows them
    "dask",  # xarray's chunks
}


def command(package: repo.Package) -> list[str]:
    """Build the deptry command for one package, to be run in its folder."""
    tests = package.metadata.get("dependency-groups", {}).get("test", [])
    declared = {repo.requirement_name(line) for line in [*package.requirements, *tests]}
    names = {name: MODULES.get(name, name.replace("-", "_")) for name in sorted(declared)}
    mapping = ",".join(f"{name}={module}" for name, module in names.items())
    used = {repo.requirement_name(line) for line in package.metadata["project"].get("dependencies", [])}
    used |= {
        repo.requirement_name(line) for extra in repo.tested_extras(package) for line in package.extras[extra]
    }
    ignored = "|".join(sorted((declared - used - {repo.requirement_name(line) for line in tests}) | LOADED))
    options = ["--package-module-name-map", mapping, "--per-rule-ignores", f"DEP002={ignored},DEP004=pytest"]
    return ["deptry", "src", "--no-ansi", f"--known-first-party={package.module}", *options]


def undeclared(package: repo.Package) -> list[str]:
    """List what the tests of a package import, or would skip without, that is declared nowhere."""
    groups = package.metadata.get("dependency-groups", {})
    declared = {repo.requirement_name(line) for line in [*package.requirements, *groups.get("test", [])]}
    known = {MODULES.get(name, name.replace("-", "_")) for name in declared}
    known |= {*sys.stdlib_module_names, *OTHER_BACKENDS, package.module, "esai_core"}
    known |= {path.stem for path in (package.folder / "tests").rglob("*")}
    found: dict[str, str] = {}
    for path in sorted((package.folder / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("importorskip"):
                names = [str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant)]
            for name in names:
                line = getattr(node, "lineno", 0)
                found.setdefault(name.split(".")[0], f"{path.relative_to(package.folder)}:{line}")
    missing = {name: place for name, place in found.items() if name not in known}
    return [
        f"{place}: tests import {name!r}; declare it in the test group" for name, place in missing.items()
    ]


def main(root: Path = repo.ROOT, names: Sequence[str] = ()) -> int:
    """Check every package, or those called `names`; 1 where one does not hold."""
    failed = 0
    for package in [repo.find(name, root) for name in names] or repo.packages(root):
        print(f"{package.name}:", flush=True)
        done = subprocess.run([sys.executable, "-m", *command(package)], cwd=package.folder)
        missing = undeclared(package)
        print("\n".join(missing), end="\n" if missing else "")
        if done.returncode != 0:
            place = package.folder.relative_to(root) / "pyproject.toml"
            print(
                f"error: what is imported and missing: declare it in {place} with the lowest version "
                f"that works, then run `python3 tools/dev.py constraints {package.name}`; what is "
                "declared and not used: take it out",
                flush=True,
            )
        failed += done.returncode != 0 or bool(missing)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(names=sys.argv[1:]))
