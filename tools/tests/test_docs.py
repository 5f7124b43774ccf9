"""The pages that are about the house and not one package: their commands exist; the reference is complete."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import dev
import griffe
import pytest
import repo

sys.path[:0] = [str(repo.ROOT / "ci"), str(repo.ROOT / "docs")]
import check_commands
import configuration

OURS = {page for package in repo.packages() for page in check_commands.pages(package)}
PAGES = [repo.ROOT / "README.md", repo.ROOT / "CONTRIBUTING.md", *sorted((repo.ROOT / "docs").rglob("*.md"))]
HOUSE = [page for page in PAGES if page not in OURS and "_build" not in page.parts]
DEV = {"demo", "nox", "constraints", "new-package", *dev.WITH_ARGUMENTS, *dev.SESSIONS}
SETTINGS = re.compile(r"(?:[A-Z_]+=\S+ )+")


def lines(page: Path) -> list[str]:
    blocks = check_commands.FENCE.finditer(page.read_text("utf-8"))
    return [
        line
        for block in blocks
        if block["kind"] == "console" and not block["why"]
        for line in check_commands.commands(block["text"])
    ]


def sessions() -> set[str]:
    return set(re.findall(r"^def (\w+)\(", (repo.ROOT / "noxfile.py").read_text("utf-8"), re.M))


@pytest.mark.parametrize("page", [page for page in HOUSE if lines(page)], ids=lambda page: page.name)
def test_every_command_of_the_house_exists(page: Path) -> None:
    for line in lines(page):
        words = shlex.split(SETTINGS.sub("", line, count=1) if SETTINGS.match(line) else line, comments=True)
        if words[:2] == ["python3", "tools/dev.py"]:
            assert words[2] in DEV, line
            if words[2] == "nox":
                session = words[words.index("-s") + 1]
                assert session.split("(")[0] in sessions(), line
        elif words[0] == "python3":
            assert (repo.ROOT / words[1]).is_file(), line
        elif words[:3] == ["uv", "pip", "install"]:
            assert words[-1] in {package.name for package in repo.packages()}, line
            assert words[3] == "--index", line
        else:
            assert words[0] in {"export", "git", ".venv/bin/pytest"}, line


def test_every_page_of_a_package_is_followed_by_someone() -> None:
    marked = re.compile(r"<!-- package: (\S+) -->")
    names = {package.name for package in repo.packages()}
    for page in PAGES:
        assert set(marked.findall(page.read_text("utf-8"))) <= names, page
    for page in (repo.ROOT / "docs" / "packages").glob("esai-*.md"):
        assert page in OURS, page


def test_every_config_key_is_in_the_reference(tmp_path: Path) -> None:
    configuration.write(tmp_path, repo.packages())
    for package in repo.packages()[1:]:
        page = (tmp_path / f"{package.name}.rst").read_text("utf-8")
        module = griffe.load(package.module, search_paths=[str(package.folder / "src")])
        for section in configuration.sections(module).values():
            for key in configuration.keys(section, configuration.sections(module)):
                assert re.search(rf"``(?:[\w.]+\.)?{key.name}``", page), f"{package.name}: {key.path}"


def test_every_score_is_in_the_reference(tmp_path: Path) -> None:
    core = griffe.load("esai_core", search_paths=[str(repo.find(repo.CORE).folder / "src")])
    found = {score[0]: score for score in configuration.scores(core)}
    source = core["verify.registry._scores"].source
    declared = set(re.findall(r'(?:value|Score)\("(\w+)"', source)) | set(
        re.findall(r'\("(\w+)", -?\d', source)
    )
    assert declared <= set(found)
    assert len(found) >= 25
    assert found["crps"][2:5] == (-1, 0.0, "ensemble")


def test_continued_lines_and_reasons_are_read() -> None:
    page = "<!-- not run: needs a cluster -->\n```console\n$ esai-x run \\\n    --out x\n```\n\n"
    page += "```console\n$ a\nb\n```\n"
    first, second = check_commands.FENCE.finditer(page)
    assert first["why"] == "needs a cluster"
    assert list(check_commands.commands(first["text"])) == ["esai-x run --out x"]
    assert second["why"] is None
    assert list(check_commands.commands(second["text"])) == ["a"]


def test_a_line_is_followed_once_whatever_its_comment(tmp_path: Path) -> None:
    reader = check_commands.Follower(repo.find("esai-fire"), tmp_path)
    reader.done["esai-fire demo --out demo"] = "ran"
    assert reader.follow("esai-fire demo  --out demo   # made-up data") == "as before"
    with pytest.raises(SystemExit, match="no way to follow it"):
        reader.follow("curl https://example.org")


def test_an_example_that_gives_something_else_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "src" / "esai_made" / "sums.py"
    source.parent.mkdir(parents=True)
    source.write_text('"""Sums.\n\n>>> 1 + 1\n2\n"""\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "src"))
    package = repo.Package(tmp_path, {"project": {"name": "esai-made"}})
    ((name, _, hold),) = check_commands.in_docstrings(package)
    assert (name, hold()) == ("esai_made.sums", "1 lines hold")
    source.write_text('"""Sums.\n\n>>> 1 + 1\n3\n"""\n')
    with pytest.raises(SystemExit, match="Expected"):
        hold()


def test_every_fault_of_the_pages_is_told(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = "```console\n$ pip install esai-one\n$ curl one\n```\n```python\nimport an_unheard_of\n```\n"
    (small / "packages/esai-one/README.md").write_text(page)
    (small / "packages/esai-one/src/esai_one").mkdir(parents=True)
    assert check_commands.main(["esai-one"], small) == 1
    said = capsys.readouterr()
    assert "README.md:1: installed (0 s): $ pip install esai-one" in said.out
    assert "$ curl one" in said.err
    assert "an_unheard_of" in said.err
