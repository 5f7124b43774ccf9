from __future__ import annotations

from pathlib import Path

import pytest
import repo
from packaging.requirements import Requirement

LINES = [
    "numpy",
    "numpy>=2.1",
    "esai-core[grib,regrid]>=0.1.0",
    "tensorflow[and-cuda]>=2.20; platform_system == 'Linux'",
    "Foo_Bar.baz >=1,<2 ; python_version < '3.13'",
]


@pytest.mark.parametrize("line", LINES)
def test_requirement_lines_are_read_as_packaging_reads_them(line: str) -> None:
    name, extras, specifier, marker = repo.split(line)
    wanted = Requirement(line)
    assert name == wanted.name.lower().replace("_", "-").replace(".", "-")
    assert set(extras) == wanted.extras
    assert Requirement(f"x{specifier}").specifier == wanted.specifier
    assert bool(marker) == (wanted.marker is not None)


def test_packages_come_core_first(small: Path) -> None:
    assert [package.name for package in repo.packages(small)] == ["esai-core", "esai-one", "esai-two"]


def test_the_twin_keeps_the_floor_of_what_it_stands_in_for(small: Path) -> None:
    one, two = repo.find("esai-one", small), repo.find("esai-two", small)
    assert [line.split(" ;")[0] for line in repo.twins(one, small)] == ["tensorflow-cpu>=2.20"]
    assert repo.twins(two, small) == []


def test_an_unknown_package_names_the_known_ones(small: Path) -> None:
    with pytest.raises(SystemExit, match="esai-core, esai-one, esai-two"):
        repo.find("esai-three", small)
