"""What the tree holds: its packages, read from their own metadata. Standard library only (Python 3.11)."""

from __future__ import annotations

import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CORE = "esai-core"
UNTESTED_EXTRAS = frozenset({"gpu", "fetch"})  # CUDA builds; clients of data portals
LINUX = "sys_platform == 'linux' and platform_machine == 'x86_64'"  # where the CPU-only twins have wheels
TWINS = {"tensorflow": "tensorflow-cpu", "xgboost": "xgboost-cpu"}

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*([^;]*)(?:;(.*))?$")


@dataclass(frozen=True)
class Package:
    """One distribution of the tree."""

    folder: Path
    metadata: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the distribution, ``esai-seasonal``."""
        return str(self.metadata["project"]["name"])

    @property
    def module(self) -> str:
        """Import name, ``esai_seasonal``."""
        return self.name.replace("-", "_")

    @property
    def extras(self) -> dict[str, list[str]]:
        """Optional dependencies by extra."""
        return dict(self.metadata["project"].get("optional-dependencies", {}))

    @property
    def requirements(self) -> list[str]:
        """All requirements a user can get: the base ones and those of every extra."""
        base = list(self.metadata["project"].get("dependencies", []))
        return base + [line for lines in self.extras.values() for line in lines]

    @property
    def siblings(self) -> set[str]:
        """Names of the ``esai-*`` distributions it requires."""
        return {name for name in map(requirement_name, self.requirements) if name.startswith("esai-")}

    @property
    def constraints(self) -> Path:
        """File of pinned versions that its checks are run with."""
        return self.folder.parents[1] / "ci" / "constraints" / f"{self.name}.txt"


def packages(root: Path = ROOT) -> list[Package]:
    """Every package of the tree, the core first, then by name."""
    files = [root / "shared" / CORE / "pyproject.toml", *sorted(root.glob("packages/*/pyproject.toml"))]
    return [Package(file.parent, tomllib.loads(file.read_text("utf-8"))) for file in files]


def find(name: str, root: Path = ROOT) -> Package:
    """Package of that distribution name; SystemExit naming the known ones where there is none."""
    known = {package.name: package for package in packages(root)}
    if name not in known:
        raise SystemExit(f"no package called {name!r}; there are: {', '.join(known)}")
    return known[name]


def requirement_name(requirement: str) -> str:
    """Normalised name of the distribution in a requirement line."""
    return split(requirement)[0]


def split(requirement: str) -> tuple[str, list[str], str, str]:
    """Take a requirement line apart: (normalised name, extras, version specifier, marker)."""
    found = _REQUIREMENT.match(requirement)
    if found is None:
        raise ValueError(f"not a requirement: {requirement!r}")
    name, extras, specifier, marker = found.groups()
    return (
        re.sub(r"[-_.]+", "-", name).lower(),
        [extra.strip() for extra in (extras or "").split(",") if extra.strip()],
        specifier.strip(),
        (marker or "").strip(),
    )


def tested_extras(package: Package) -> list[str]:
    """Extras that the tests of a package are run with."""
    return sorted(set(package.extras) - UNTESTED_EXTRAS)


def reachable(package: Package, root: Path = ROOT, extras: set[str] | None = None) -> list[str]:
    """List what a package with `extras` (the tested ones by default) requires, the core's part included."""
    chosen = set(tested_extras(package)) if extras is None else extras
    lines = list(package.metadata["project"].get("dependencies", []))
    lines += [line for extra in sorted(chosen) for line in package.extras.get(extra, [])]
    asked = [split(line)[1] for line in lines if requirement_name(line) == CORE]
    if asked and package.name != CORE:
        lines += reachable(find(CORE, root), root, {extra for names in asked for extra in names})
    return lines


def twins(package: Package, root: Path = ROOT, extras: set[str] | None = None) -> list[str]:
    """List the CPU-only twins that stand in for what `package` asks for (see docs/decisions).

    The root pyproject.toml drops `tensorflow` and `xgboost` from a resolution on Linux x86-64; these lines
    put the twins in, with the version specifiers of the dropped requirements, so that floors stay floors.
    """
    asked = reachable(package, root, extras)
    lines = {split(line)[:3:2] for line in asked if requirement_name(line) in TWINS}
    return sorted(f"{TWINS[name]}{specifier} ; {LINUX}" for name, specifier in lines)


def tracked_files(root: Path = ROOT) -> list[Path]:
    """Files that git tracks or would track (not ignored), relative to `root`, those deleted left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    names = sorted({name for name in listed.stdout.decode().split("\0") if name})
    return [Path(name) for name in names if (root / name).is_file()]
