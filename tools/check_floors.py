"""Check, in the environment of the minimums session, that the lowest allowed versions are what is installed.

A lower bound that no resolution reaches (another requirement asks for more) has not been tested, so it
promises too much: raise it to what is named here.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

sys.path.insert(0, str(Path(__file__).parent))
import repo


def unproved(lines: list[str], installed: dict[str, str]) -> list[str]:
    """List the requirements whose lower bound is not the installed version."""
    floors: dict[str, Version] = {}
    for requirement in map(Requirement, lines):
        if requirement.marker is None or requirement.marker.evaluate():
            bounds = [Version(bound.version) for bound in requirement.specifier if bound.operator == ">="]
            floors[requirement.name] = max([*bounds, floors.get(requirement.name, Version("0"))])
    return [
        f"{name}>={floor}: the lowest version that fits is {installed[name]}"
        for name, floor in sorted(floors.items())
        if Version(installed[name]) != floor
    ]


def main(name: str) -> int:
    """Check one package; 1 where a lower bound was not proved."""
    package = repo.find(name)
    tests = package.metadata.get("dependency-groups", {}).get("test", [])
    lines = [
        line
        for line in repo.reachable(package)
        if repo.requirement_name(line) not in {repo.CORE, *repo.TWINS}
    ]
    lines += [*repo.twins(package), *tests]
    found = unproved(lines, {Requirement(line).name: version(Requirement(line).name) for line in lines})
    print("\n".join(found) or f"{name}: every lower bound is what is installed")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
