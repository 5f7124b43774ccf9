from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import affected
import pytest
import repo

ALL = ["esai-core", "esai-one", "esai-two"]


@pytest.mark.parametrize(
    ("files", "names", "docs", "tooling"),
    [
        (["shared/esai-core/src/esai_core/grid.py"], ["esai-core", "esai-one"], True, False),
        (["packages/esai-one/tests/unit/test_x.py"], ["esai-one"], True, False),
        (
            ["packages/esai-one/README.md", "packages/esai-two/README.md"],
            ["esai-one", "esai-two"],
            True,
            False,
        ),
        (["ci/constraints/esai-two.txt"], ["esai-two"], True, False),
        (["docs/index.md"], [], True, False),
        (["README.md"], [], True, False),
        (["benchmarks/esai-one/bench_x.py"], [], False, False),
        (["noxfile.py"], ALL, True, True),
        (["tools/dev.py"], ALL, True, True),
        ([".github/workflows/ci.yml"], ALL, True, True),
        (["packages/esai-onemore/pyproject.toml"], ALL, True, True),
        ([], [], False, False),
    ],
)
def test_what_a_change_touches(
    small: Path, files: list[str], names: list[str], docs: bool, tooling: bool
) -> None:
    found = affected.affected(files, repo.packages(small), small)
    assert found == affected.Affected(names, docs=docs, tooling=tooling)


def test_in_this_tree_the_core_touches_everything() -> None:
    found = affected.affected(["shared/esai-core/pyproject.toml"], repo.packages())
    assert found.packages == [package.name for package in repo.packages()]


def test_changes_are_counted_from_where_the_branch_left(small: Path, git: Callable[..., None]) -> None:
    git(small, "switch", "--quiet", "--create", "work")
    (small / "packages/esai-one/a file.txt").write_text("x")
    git(small, "add", "--all")
    git(small, "commit", "--quiet", "--message=work")
    git(small, "mv", "packages/esai-two/pyproject.toml", "packages/esai-two/moved.toml")
    (small / "docs").mkdir()
    (small / "docs/new.md").write_text("x")
    git(small, "switch", "--quiet", "main")
    (small / "elsewhere.txt").write_text("x")
    git(small, "add", "elsewhere.txt")
    git(small, "commit", "--quiet", "--message=main goes on", "--", "elsewhere.txt")
    git(small, "switch", "--quiet", "work")
    assert affected.changed("main", small) == [
        "docs/new.md",
        "packages/esai-one/a file.txt",
        "packages/esai-two/moved.toml",
        "packages/esai-two/pyproject.toml",
    ]


def test_an_unknown_base_is_one_clear_line(small: Path) -> None:
    with pytest.raises(SystemExit, match="no common commit of 'nowhere'"):
        affected.changed("nowhere", small)


def test_json_for_a_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    assert affected.main(["--all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"packages": [package.name for package in repo.packages()], "docs": True, "tooling": True}
