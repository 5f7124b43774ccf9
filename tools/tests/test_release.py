from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path

import fragments
import pytest
import release
import repo
from packaging.version import Version

Git = Callable[..., None]
API = '__all__ = ["burn"]\n\n\ndef burn(area, *, unit="ha"):\n    """Burn."""\n    return area, unit\n'


@pytest.fixture
def tree(small: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a tree of packages with code, changelogs and fragments, and release its core as 0.1.0."""
    for name, value in {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.org"}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.replace("AUTHOR", "COMMITTER"), value)
    (small / "ci").mkdir()
    (small / release.CONFIG).write_text((repo.ROOT / release.CONFIG).read_text())
    for package in repo.packages(small):
        project = package.folder / "pyproject.toml"
        project.write_text(project.read_text().replace('version = "0.1"', 'version = "0.1.0"'))
        source = package.folder / "src" / package.module
        source.mkdir(parents=True)
        (source / "__init__.py").write_text(API)
        (package.folder / "CHANGELOG.md").write_text(f"# Changelog of {package.name}\n\n{release.MARKER}\n")
        fragment(package.folder, "+start.feature.md", "First version.")
    commit(small, git)
    assert release.main(["esai-core", "0.1.0"], small) == 0
    return small


def fragment(folder: Path, name: str, text: str) -> None:
    (folder / "changes").mkdir(exist_ok=True)
    (folder / "changes" / name).write_text(f"{text}\n")


def commit(root: Path, git: Git) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=work")


def say(root: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=root, check=True, text=True, capture_output=True).stdout


def refused(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Ask for a release that cannot be made; what is said. Nothing may have changed."""
    before = say(root, "show-ref"), say(root, "status", "--porcelain")
    assert release.main(arguments, root) == 1
    assert (say(root, "show-ref"), say(root, "status", "--porcelain")) == before
    return capsys.readouterr().err


def test_a_release_writes_version_changelog_commit_and_tag(tree: Path) -> None:
    wanted = release.plan("esai-one", "minor", tree)
    assert release.against(wanted, tree) == []
    release.carry_out(wanted, tree, day=date(2026, 1, 2))
    folder = tree / "packages/esai-one"
    assert repo.find("esai-one", tree).metadata["project"]["version"] == "0.2.0"
    assert (folder / "CHANGELOG.md").read_text().split() == (
        f"# Changelog of esai-one {release.MARKER} ## 0.2.0 (2026-01-02) ### New - First version.".split()
    )
    assert not list((folder / "changes").glob("*.md"))
    assert say(tree, "status", "--porcelain") == ""
    assert say(tree, "cat-file", "-t", "esai-one-v0.2.0") == "tag\n"
    assert say(tree, "log", "-1", "--format=%s") == "Release esai-one 0.2.0\n"
    assert release.released("esai-one", tree) == [Version("0.2.0")]


def test_a_dry_run_changes_nothing(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = say(tree, "show-ref")
    assert release.main(["esai-one", "0.1.0", "--dry-run"], tree) == 0
    assert "esai-one-v0.1.0 can be made (the first of this package)" in capsys.readouterr().out
    assert say(tree, "show-ref") == before


def test_a_dirty_tree_is_refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "new file.txt").write_text("x")
    said = refused(tree, capsys, "esai-one", "minor")
    assert "changes that are in no commit" in said
    assert "new file.txt" in said


def test_missing_fragments_are_refused(tree: Path, git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "packages/esai-one/changes/+start.feature.md").unlink()
    commit(tree, git)
    said = refused(tree, capsys, "esai-one", "minor")
    assert "no fragment in packages/esai-one/changes" in said
    assert "Write one line in the words of a user into changes/+short-name.KIND.md" in said


@pytest.mark.parametrize(("name", "text"), [("notes.md", "x"), ("+Bad.feature.md", "x"), ("+a.fix.md", "")])
def test_fragments_that_are_none_are_refused(
    tree: Path, git: Git, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    fragment(tree / "packages/esai-one", name, text)
    commit(tree, git)
    assert f"packages/esai-one/changes/{name}" in refused(tree, capsys, "esai-one", "minor")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def burn(", "def smoulder(", "burn"),
        ("area, *,", "*,", "area"),
        ('unit="ha"', 'unit="km2"', "unit"),
        ("(area, *", "(area, cell, *", "cell"),
    ],
)
def test_an_api_break_in_a_patch_is_refused_and_in_a_minor_is_not(
    tree: Path, git: Git, capsys: pytest.CaptureFixture[str], old: str, new: str, said: str
) -> None:
    assert release.main(["esai-one", "0.1.0"], tree) == 0
    source = tree / "packages/esai-one/src/esai_one/__init__.py"
    source.write_text(source.read_text().replace(old, new))
    fragment(tree / "packages/esai-one", "+other.change.md", "Something else.")
    commit(tree, git)
    told = refused(tree, capsys, "esai-one", "patch")
    assert "0.1.1 is a patch release, but its public API is not that of 0.1.0" in told
    assert said in told
    assert "release a minor version" in told
    assert release.main(["esai-one", "minor", "--dry-run"], tree) == 0


def test_what_is_added_or_private_is_no_break(tree: Path, git: Git) -> None:
    assert release.main(["esai-one", "0.1.0"], tree) == 0
    source = tree / "packages/esai-one/src/esai_one/__init__.py"
    source.write_text(source.read_text().replace('unit="ha"', 'unit="ha", cells=None') + "\n_x = 1\n")
    fragment(tree / "packages/esai-one", "+more.feature.md", "Cells.")
    commit(tree, git)
    assert release.main(["esai-one", "patch"], tree) == 0


def test_a_removal_is_no_patch(tree: Path, git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["esai-one", "0.1.0"], tree) == 0
    fragment(tree / "packages/esai-one", "+verb.removal.md", "The verb is gone.")
    commit(tree, git)
    assert "announces something incompatible" in refused(tree, capsys, "esai-one", "patch")


def test_a_core_that_dependents_refuse_is_not_released(
    tree: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tree / "packages/esai-one/pyproject.toml"
    project.write_text(project.read_text().replace("esai-core[net]>=0.1", "esai-core[net]>=0.1,<0.2"))
    fragment(tree / "shared/esai-core", "+more.feature.md", "More.")
    commit(tree, git)
    said = refused(tree, capsys, "esai-core", "minor")
    assert "esai-one refuses esai-core 0.2.0: it asks for 'esai-core[net]>=0.1,<0.2'" in said
    assert release.main(["esai-core", "patch", "--dry-run"], tree) == 0


def test_a_package_waits_for_the_core_it_asks_for(
    tree: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tree / "packages/esai-one/pyproject.toml"
    project.write_text(project.read_text().replace("esai-core[net]>=0.1", "esai-core[net]>=0.2"))
    commit(tree, git)
    assert "Release the core first" in refused(tree, capsys, "esai-one", "minor")


def test_a_version_is_made_once_and_counts_up(
    tree: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release.main(["esai-one", "0.3.0"], tree) == 0
    fragment(tree / "packages/esai-one", "+more.feature.md", "More.")
    commit(tree, git)
    assert "esai-one-v0.3.0 exists" in refused(tree, capsys, "esai-one", "0.3.0")
    assert "0.2.0 does not come after esai-one-v0.3.0" in refused(tree, capsys, "esai-one", "0.2.0")
    with pytest.raises(SystemExit, match=r"'0\.4' is no version"):
        release.main(["esai-one", "0.4"], tree)


def test_a_release_that_fails_leaves_the_tree_as_it_was(tree: Path) -> None:
    hook = tree / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    before = say(tree, "show-ref")
    with pytest.raises(SystemExit, match="git commit failed"):
        release.main(["esai-one", "minor"], tree)
    assert say(tree, "status", "--porcelain") == ""
    assert say(tree, "show-ref") == before
    assert repo.find("esai-one", tree).metadata["project"]["version"] == "0.1.0"


def test_a_change_without_a_fragment_fails(tree: Path, git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    git(tree, "switch", "--quiet", "--create", "work")
    source = tree / "packages/esai-two/src/esai_two/more.py"
    source.write_text('"""More."""\n')
    (tree / "packages/esai-one/README.md").write_text("only words\n")
    commit(tree, git)
    assert fragments.main(["--base", "main"], tree) == 1
    said = capsys.readouterr().out
    assert "esai-two has changed and no fragment tells its users. Write one line" in said
    assert "(in packages/esai-two)" in said
    assert "esai-one has changed" not in said
    fragment(tree / "packages/esai-two", "+more.feature.md", "More.")
    assert fragments.main(["--base", "main"], tree) == 0


def test_a_break_has_to_be_announced(tree: Path, git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["esai-one", "0.1.0"], tree) == 0
    git(tree, "switch", "--quiet", "--create", "work")
    source = tree / "packages/esai-one/src/esai_one/__init__.py"
    source.write_text(source.read_text().replace("burn", "smoulder"))
    fragment(tree / "packages/esai-one", "+name.fix.md", "A better name.")
    commit(tree, git)
    assert fragments.main(["--base", "main"], tree) == 1
    said = capsys.readouterr().out
    assert "esai-one breaks the public API of its 0.1.0" in said
    assert "+short-name.removal.md" in said
    fragment(tree / "packages/esai-one", "+name.removal.md", "burn is now smoulder.")
    assert fragments.main(["--base", "main"], tree) == 0


def test_the_packages_of_this_tree_are_ready_for_a_changelog() -> None:
    for package in repo.packages():
        assert release.MARKER in (package.folder / "CHANGELOG.md").read_text("utf-8"), package.name
        assert fragments.read(package.folder)[1] == []


def test_a_tag_made_by_hand_is_held_to_the_same_rules(
    tree: Path, git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release.main(["esai-one", "0.1.0"], tree) == 0
    assert release.main(["--check-tag", "esai-one-v0.1.0"], tree) == 0
    source = tree / "packages/esai-one/src/esai_one/__init__.py"
    source.write_text(source.read_text().replace("burn", "smoulder"))
    commit(tree, git)
    git(tree, "tag", "esai-one-v0.1.1")
    capsys.readouterr()
    assert release.main(["--check-tag", "esai-one-v0.1.1"], tree) == 1
    said = capsys.readouterr().err
    assert "the pyproject.toml says 0.1.0" in said
    assert "CHANGELOG.md has no section 0.1.1" in said
    assert "0.1.1 is a patch release, but its public API is not that of 0.1.0" in said
