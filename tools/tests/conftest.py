from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS))

import repo


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy what git tracks or would track to a fresh repository with one commit."""
    target = tmp_path / "tree"
    for path in repo.tracked_files(repo.ROOT):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repo.ROOT / path, target / path)
    run_git(target, "init", "--quiet", "--initial-branch=main")
    run_git(target, "add", "--all")
    run_git(target, "commit", "--quiet", "--message=start")
    return target


def run_git(folder: Path, *arguments: str) -> None:
    """Run git with an identity of its own, whatever the machine's settings are."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Make a tree of three made-up packages without code: the core, one on it, one on nothing."""
    root = tmp_path / "small"
    for folder, name, needs in [
        ("shared/esai-core", "esai-core", ["numpy>=2"]),
        ("packages/esai-one", "esai-one", ["esai-core[net]>=0.1", "xarray"]),
        ("packages/esai-two", "esai-two", ["numpy"]),
    ]:
        path = root / folder / "pyproject.toml"
        path.parent.mkdir(parents=True)
        extras = (
            '[project.optional-dependencies]\nnet = ["tensorflow>=2.20"]\n' if name == "esai-core" else ""
        )
        path.write_text(f'[project]\nname = "{name}"\nversion = "0.1"\ndependencies = {needs!r}\n{extras}')
    run_git(root, "init", "--quiet", "--initial-branch=main")
    run_git(root, "add", "--all")
    run_git(root, "commit", "--quiet", "--message=start")
    return root


@pytest.fixture
def git() -> Callable[..., None]:
    """Run git in a folder."""
    return run_git
