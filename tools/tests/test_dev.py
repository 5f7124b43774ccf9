from __future__ import annotations

import ast
import hashlib
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dev
import pytest
import repo


@pytest.mark.parametrize("name", ["dev.py", "repo.py", "affected.py"])
def test_the_bootstrap_needs_the_standard_library_only(name: str) -> None:
    tree = ast.parse((repo.ROOT / "tools" / name).read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert {module.split(".")[0] for module in imported} <= {*sys.stdlib_module_names, "repo"}


def test_the_first_lines_are_understood_by_an_old_python() -> None:
    source = (repo.ROOT / "tools" / "dev.py").read_text("utf-8")
    head = source[: source.index("import hashlib")]
    ast.parse(head, feature_version=(3, 7))


def test_every_pinned_tool_has_hashes() -> None:
    for path in [dev.REQUIREMENTS, *(repo.ROOT / "ci" / "requirements").glob("*.txt")]:
        blocks = path.read_text("utf-8").replace("\\\n", " ").splitlines()
        pinned = [line for line in blocks if "==" in line]
        assert pinned
        assert [line for line in pinned if "--hash=sha256:" not in line] == []


def test_sessions_are_narrowed_to_packages() -> None:
    assert dev.sessions("lint", []) == ["lint", "contracts"]
    assert dev.sessions("test", ["esai-core"]) == ["types(esai-core)", "tests(esai-core)"]
    assert dev.sessions("test", ["esai-seasonal"])[-1] == "demo(esai-seasonal)"
    with pytest.raises(SystemExit, match="no package called 'esai-nothing'"):
        dev.sessions("test", ["esai-nothing"])
    with pytest.raises(SystemExit, match="leave the name out"):
        dev.sessions("docs", ["esai-core"])


@pytest.mark.parametrize(("handed_on", "rehearsed"), [([], True), (["--", "-k", "grid"], False)])
def test_everything_ends_with_the_rehearsal_and_options_are_pytests(
    monkeypatch: pytest.MonkeyPatch, handed_on: list[str], rehearsed: bool
) -> None:
    called: list[str] = []
    monkeypatch.setattr(dev, "make_tools", lambda: None)
    monkeypatch.setattr(dev, "nox", lambda *arguments: called.extend(arguments) or 0)
    assert dev.main(["test", *handed_on]) == 0
    assert called[-len(handed_on) :] == handed_on if handed_on else called[-1] == "release_check"
    assert ("release_check" in called) == rehearsed


def test_commands_name_sessions_that_exist() -> None:
    source = ast.parse((repo.ROOT / "noxfile.py").read_text("utf-8"))
    defined = {node.name for node in source.body if isinstance(node, ast.FunctionDef)}
    assert {name for names in dev.SESSIONS.values() for name in names} <= defined


@pytest.mark.parametrize("arguments", [[], ["--help"], ["help"]])
def test_help_makes_nothing(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(arguments) == 0
    assert "dev.py demo" in capsys.readouterr().out


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert dev.main(["tset"]) == 2
    assert "'tset'" in capsys.readouterr().out


def test_tools_that_are_there_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "TOOLS", tmp_path / ".tools")
    dev.tool("python").parent.mkdir(parents=True)
    dev.tool("python").touch()
    (tmp_path / ".tools" / "esai-tools.txt").write_text(dev.fingerprint())
    monkeypatch.setattr(dev.venv, "create", lambda *_, **__: pytest.fail("made again"))
    dev.make_tools()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a package index with one page and one wheel on loopback."""
    folder = tmp_path / "simple" / "pip"
    folder.mkdir(parents=True)
    link = f'<a href="../../files/{dev.PIP_WHEEL}#sha256=0">{dev.PIP_WHEEL}</a>'
    (folder / "index.html").write_text(link)
    (tmp_path / "files").mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple", tmp_path / "files" / dev.PIP_WHEEL
        server.shutdown()


def test_pip_is_fetched_by_hash(
    index: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, wheel = index
    wheel.write_bytes(b"a wheel")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(SystemExit, match="not the file that is pinned"):
        dev.fetch_pip(tmp_path)
    monkeypatch.setattr(dev, "PIP_SHA256", hashlib.sha256(b"a wheel").hexdigest())
    assert dev.fetch_pip(tmp_path).read_bytes() == b"a wheel"
    wheel.unlink()
    with pytest.raises(SystemExit, match="python3-venv"):
        dev.fetch_pip(tmp_path)
