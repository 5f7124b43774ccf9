"""Rules that hold for the metadata of every package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import repo
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

PACKAGES = {package.name: package for package in repo.packages()}
every = pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES.keys())


def pins(path: Path) -> list[Requirement]:
    lines = path.read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", " "))]


@every
def test_the_only_sibling_required_is_the_core(package: repo.Package) -> None:
    assert package.siblings == (set() if package.name == repo.CORE else {repo.CORE})


@every
def test_a_planted_sideways_requirement_is_seen(package: repo.Package) -> None:
    project = {**package.metadata["project"], "optional-dependencies": {"more": ["esai-other>=1"]}}
    assert "esai-other" in repo.Package(package.folder, {"project": project}).siblings


@every
def test_the_core_that_is_asked_for_is_the_core_of_the_tree(package: repo.Package) -> None:
    core = PACKAGES[repo.CORE].metadata["project"]
    for line in package.requirements:
        wanted = Requirement(line)
        if wanted.name == repo.CORE:
            assert wanted.specifier.contains(core["version"])
            assert wanted.extras <= set(core.get("optional-dependencies", {}))


@every
def test_folder_module_and_name_agree(package: repo.Package) -> None:
    assert package.folder.name == package.name
    source = package.folder / "src"
    assert [path.name for path in source.iterdir() if not path.name.startswith((".", "__"))] == [
        package.module
    ]
    assert (source / package.module / "py.typed").is_file()
    assert (package.folder / "README.md").is_file()
    assert (package.folder / "CHANGELOG.md").is_file()


@every
def test_metadata_is_complete_and_static(package: repo.Package) -> None:
    project = package.metadata["project"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["license"] == "Apache-2.0"
    assert "dynamic" not in project
    assert SpecifierSet(project["requires-python"]).contains("3.11")
    if package.name != repo.CORE:
        assert project["scripts"] == {package.name: f"{package.module}.cli:main"}


@every
def test_every_requirement_has_a_floor(package: repo.Package) -> None:
    tests = package.metadata.get("dependency-groups", {}).get("test", [])
    without = [line for line in [*package.requirements, *tests] if ">=" not in repo.split(line)[2]]
    assert without == []


@every
def test_the_constraints_pin_what_the_package_requires(package: repo.Package) -> None:
    assert package.constraints.is_file(), "run `python3 tools/dev.py constraints`"
    pinned = pins(package.constraints)
    tests = package.metadata.get("dependency-groups", {}).get("test", [])
    for line in [*repo.reachable(package), *repo.twins(package), *tests]:
        wanted = Requirement(line)
        if wanted.name == repo.CORE:
            continue
        found = [pin for pin in pinned if pin.name == repo.requirement_name(line)]
        assert found, f"{line} has no pin; run `python3 tools/dev.py constraints`"
        for pin in found:
            version = str(pin.specifier).removeprefix("==")
            assert wanted.specifier.contains(version), f"{pin} does not satisfy {line}"


def test_constraints_belong_to_packages_that_exist() -> None:
    files = {path.stem for path in (repo.ROOT / "ci" / "constraints").glob("*.txt")}
    assert files == set(PACKAGES)


def test_there_is_no_lock_for_the_whole_tree() -> None:
    assert not (repo.ROOT / "uv.lock").exists()
