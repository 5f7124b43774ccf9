from __future__ import annotations

import hashlib
import http.server
import json
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from esai_toy.cli import main

from esai_core.errors import EsaiError, UsageError
from esai_core.fetch import as_json, as_python, fetch
from esai_core.job import Request
from esai_core.testing import run_cli

CONTENT = b"some data\n" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def get(self) -> None:
            self.send_response(200 if self.path != "/none" else 404)
            self.send_header("Content-Length", str(len(CONTENT) + (5 if self.path == "/short" else 0)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, format: str, *args: object) -> None:
            pass

    Handler.do_GET = Handler.get
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def request(address: str, **settings: Any) -> Request:
    return Request(**{"client": "http", "dataset": address, "target": "sub/a.csv", **settings})


def test_a_download_appears_whole_and_once(tmp_path: Path, server: str) -> None:
    (path,) = fetch([request(f"{server}/a", sha256=DIGEST)], tmp_path)
    assert path.read_bytes() == CONTENT
    before = path.stat().st_mtime_ns
    fetch([request(f"{server}/a", sha256=DIGEST)], tmp_path)
    assert path.stat().st_mtime_ns == before
    path.write_text("spoiled")
    fetch([request(f"{server}/a", sha256=DIGEST)], tmp_path)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("place", "settings", "words"),
    [
        ("/a", {"sha256": "0" * 64}, "another sha256"),
        ("/short", {}, "ended early"),
        ("/none", {}, "Not Found"),
    ],
)
def test_a_bad_download_leaves_nothing(
    tmp_path: Path, server: str, place: str, settings: dict[str, str], words: str
) -> None:
    with pytest.raises(EsaiError, match=words):
        fetch([request(server + place, **settings)], tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("target", ["../a", "/etc/a", ".", "a/../../b"])
def test_targets_stay_in_their_folder(tmp_path: Path, target: str) -> None:
    with pytest.raises(UsageError, match="leads out"):
        fetch([request("http://127.0.0.1:1/a", target=target)], tmp_path)


def test_unknown_clients_and_addresses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'cds'"):
        fetch([request("x", client="cdss")], tmp_path)
    with pytest.raises(UsageError, match="no web address"):
        fetch([request("file:///etc/passwd")], tmp_path)


def test_a_missing_client_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cdsapi", None)
    with pytest.raises(UsageError, match=r"\[fetch\]"):
        fetch([request("reanalysis", client="cds")], tmp_path)


def test_the_official_client_gets_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Client:
        def __init__(self, *, url: str, quiet: bool, progress: bool) -> None:
            calls.append(url)

        def retrieve(self, dataset: str, body: dict[str, Any], target: str) -> None:
            if dataset == "refused":
                raise Exception("licence not accepted")
            calls.append((dataset, body))
            Path(target).write_text("data")

    module = types.ModuleType("cdsapi")
    module.Client = Client
    monkeypatch.setitem(sys.modules, "cdsapi", module)
    (path,) = fetch([request("eac4", client="ads", body={"year": [2003]})], tmp_path)
    assert path.read_text() == "data"
    assert calls == ["https://ads.atmosphere.copernicus.eu/api", ("eac4", {"year": [2003]})]
    with pytest.raises(EsaiError, match="licence not accepted"):
        fetch([request("refused", client="cds", target="b.nc")], tmp_path)
    assert not (tmp_path / "b.nc").exists()


def test_requests_are_shown_as_json_and_as_a_script(toy_config: Path) -> None:
    shown = json.loads(run_cli(main, ["fetch", "--dry-run"]).out)
    assert shown[0] == {
        "client": "cds",
        "dataset": "reanalysis",
        "body": {"variable": ["t2m"], "name": "all"},
        "target": "a.nc",
    }
    script = run_cli(main, ["fetch", toy_config, "--dry-run", "--as", "python"]).out
    compile(script, "script", "exec")
    assert "client.retrieve('reanalysis', {'variable': ['t2m'], 'name': 'points.csv'}, 'a.nc')" in script
    assert as_json([]) == "[]"
    assert as_python([]) == ""
