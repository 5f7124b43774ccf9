"""Check that each package declares what it imports and imports what it declares (deptry).

The sources are read, nothing is installed, so names that differ between the index and Python are listed here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import repo

MODULES = {  # name on the index: name in Python, where they differ by more than - and _
    "netcdf4": "netCDF4",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}

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
    options = ["--package-module-name-map", mapping, "--per-rule-ignores", f"DEP002={ignored}"]
    return ["deptry", "src", "--no-ansi", f"--known-first-party={package.module}", *options]


def main(root: Path = repo.ROOT) -> int:
    """Check every package; 1 where one does not hold."""
    failed = 0
    for package in repo.packages(root):
        print(f"{package.name}:", flush=True)
        done = subprocess.run([sys.executable, "-m", *command(package)], cwd=package.folder)
        failed += done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
