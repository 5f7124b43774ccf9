"""A pin with a known weakness fails the audit: a list of weaknesses on loopback knows one."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import repo

WEAK = "numpy"


class Weaknesses(http.server.BaseHTTPRequestHandler):
    """Answers as OSV does; one package is weak in every version."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        affected = {
            "package": asked["package"],
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9999"}]}],
        }
        weak = {"id": "PYSEC-0000-1", "details": "planted", "affected": [affected]}
        body = json.dumps({"vulns": [weak]} if asked["package"]["name"] == WEAK else {}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def service() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Weaknesses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def test_a_weak_pin_fails_the_audit(service: str) -> None:
    session = (repo.ROOT / "noxfile.py").read_text("utf-8")
    options = ["--no-deps", "--disable-pip", "--strict"]
    assert f'"{options[0]}", "{options[1]}", "{options[2]}"' in session
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(repo.find("esai-fire").constraints)]
    command += [*options, "--vulnerability-service", "osv", "--osv-url", service]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 1, done.stderr
    assert "Found 1 known vulnerability in 1 package" in done.stderr
    assert done.stdout.splitlines()[-1].split()[0] == WEAK
    assert "9999" in done.stdout
