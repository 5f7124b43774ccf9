from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import new_package
import pytest
import repo

SUMMARY = "Probes whether the template holds what it promises."


@pytest.mark.parametrize(
    "name", ["probe", "esai-", "esai-Probe", "esai_probe", "esai-two-words", "esai-../probe"]
)
def test_a_name_that_does_not_fit_is_refused(small: Path, name: str) -> None:
    with pytest.raises(SystemExit, match="is no name for a package"):
        new_package.create(name, SUMMARY, small)


@pytest.mark.parametrize(
    "summary", ["", "Short.", "No full stop at the end of it", 'It says "quoted" in its text.']
)
def test_a_summary_that_does_not_fit_is_refused(small: Path, summary: str) -> None:
    with pytest.raises(SystemExit, match="the summary is one sentence"):
        new_package.create("esai-probe", summary, small)


def test_an_existing_package_is_left_alone(small: Path) -> None:
    before = (small / "packages/esai-one/pyproject.toml").read_text()
    with pytest.raises(SystemExit, match="esai-one exists"):
        new_package.create("esai-one", SUMMARY, small)
    assert (small / "packages/esai-one/pyproject.toml").read_text() == before


def test_nothing_of_the_template_shows_through(small: Path) -> None:
    folder = new_package.create("esai-probe", SUMMARY, small)
    found = repo.find("esai-probe", small)
    assert found.module == "esai_probe"
    assert found.siblings == {"esai-core"}
    assert found.metadata["project"]["description"] == SUMMARY
    for path in folder.rglob("*"):
        assert "template" not in path.name
        if path.suffix in {".py", ".toml"} and path.name not in {"job.py", "demo.py", "config.py"}:
            assert "esai_template" not in path.read_text("utf-8")
            assert "esai-template" not in path.read_text("utf-8")


def run(folder: Path, *arguments: str) -> None:
    """Run the interpreter in a tree, as a shell without this session's environment would."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("NOX_", "VIRTUAL_ENV"))}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=env, text=True, capture_output=True)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"


def test_a_new_package_passes_every_check(copy: Path) -> None:
    run(copy, "tools/new_package.py", "esai-probe", "--summary", SUMMARY)
    assert (copy / "ci/constraints/esai-probe.txt").is_file()
    run(copy, "-m", "ruff", "check", "packages/esai-probe")
    run(copy, "-m", "ruff", "format", "--check", "packages/esai-probe")
    run(copy, "tools/check_files.py")
    run(copy, "tools/check_dependencies.py", "esai-probe")
    run(copy, "-m", "nox", "-s", "contracts", "types(esai-probe)", "tests(esai-probe)", "demo(esai-probe)")
    assert (copy / "runs/demo-esai-probe/report.html").is_file()
    rules = ["tools/tests/test_pyprojects.py", "tools/tests/test_imports.py"]
    run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *rules)
