"""Faults planted into a copy of this tree: each fails what CI runs, with a message that says what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import affected
import pytest
import repo
import yaml

PACKAGE = "esai-fire"
SOURCE = f"packages/{PACKAGE}/src/esai_fire"
WORKFLOWS = repo.ROOT / ".github" / "workflows"


def run(tree: Path, *arguments: str) -> tuple[int, str]:
    """Run a check of the tree's own, as the session of the noxfile does."""
    done = subprocess.run([sys.executable, *arguments], cwd=tree, text=True, capture_output=True)
    return done.returncode, done.stdout + done.stderr


def test_a_sideways_import(copy: Path) -> None:
    (copy / SOURCE / "sideways.py").write_text("import esai_seasonal.config\n")
    status, said = run(copy, "tools/check_imports.py")
    assert status != 0
    assert "esai_fire.sideways -> esai_seasonal.config" in said
    assert "belongs into the core" in said


def test_an_undeclared_dependency(copy: Path) -> None:
    (copy / SOURCE / "borrowed.py").write_text("import an_unheard_of\n")
    status, said = run(copy, "tools/check_dependencies.py", PACKAGE)
    assert status != 0
    assert "'an_unheard_of' imported but missing from the dependency definitions" in said
    assert f"declare it in packages/{PACKAGE}/pyproject.toml" in said


def test_an_api_break_in_a_patch(copy: Path, git: Callable[..., None]) -> None:
    identity = ["config", "--local"]
    git(copy, *identity, "user.name", "test")
    git(copy, *identity, "user.email", "test@example.org")
    for name in (repo.CORE, PACKAGE):
        version = str(repo.find(name, copy).metadata["project"]["version"])
        folder = repo.find(name, copy).folder
        (folder / "changes").mkdir(exist_ok=True)
        (folder / "changes/+planted.fix.md").write_text("A fix.\n")
        git(copy, "add", "--all")
        git(copy, "commit", "--quiet", "--message=fix")
        assert run(copy, "tools/release.py", name, version)[0] == 0
    config = copy / SOURCE / "config.py"
    config.write_text(config.read_text().replace("FireConfig", "BurntConfig"))
    (copy / f"packages/{PACKAGE}/changes").mkdir(exist_ok=True)
    (copy / f"packages/{PACKAGE}/changes/+name.fix.md").write_text("A better name.\n")
    git(copy, "add", "--all")
    git(copy, "commit", "--quiet", "--message=break")
    status, said = run(copy, "tools/release.py", PACKAGE, "patch")
    assert status != 0
    assert "is a patch release, but its public API is not that of" in said
    assert "FireConfig" in said
    assert "Keep the old names working (an alias that warns), or release a minor version" in said


def test_a_missing_fragment(copy: Path, git: Callable[..., None]) -> None:
    git(copy, "switch", "--quiet", "--create", "work")
    (copy / SOURCE / "more.py").write_text('"""More."""\n')
    status, said = run(copy, "tools/fragments.py", "--base", "main")
    assert status != 0
    assert f"{PACKAGE} has changed and no fragment tells its users. Write one line" in said


def test_one_package_is_tested_again_alone_and_the_core_brings_all(copy: Path) -> None:
    (copy / SOURCE / "more.py").write_text('"""More."""\n')
    assert run(copy, "tools/affected.py", "--base", "HEAD") == (0, f"{PACKAGE}\n")
    (copy / "shared/esai-core/src/esai_core/more.py").write_text('"""More."""\n')
    names = "".join(f"{package.name}\n" for package in repo.packages(copy))
    assert run(copy, "tools/affected.py", "--base", "HEAD") == (0, names)


def test_the_outputs_that_choose_the_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert affected.main(["--all", "--outputs"]) == 0
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    asked = (WORKFLOWS / "ci.yml").read_text("utf-8")
    for name in lines:
        assert name == "docs" or f"steps.affected.outputs.{name} }}}}" in asked
    assert lines["core"] == lines["any"] == lines["tooling"] == "true"


@pytest.mark.parametrize("path", [*sorted(WORKFLOWS.glob("*.yml")), repo.ROOT / ".gitlab-ci.yml"], ids=str)
def test_ci_calls_sessions_that_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    yaml.safe_load(text)
    known = (repo.ROOT / "noxfile.py").read_text("utf-8")
    called = [
        line.split("--session", 1)[1].split(" -- ")[0] for line in text.splitlines() if "--session" in line
    ]
    names = {name.strip('"').split("(")[0] for part in called for name in part.split()}
    assert names or path.name == "nightly.yml"
    for name in names:
        assert f"def {name}(" in known, name
