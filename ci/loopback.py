"""A package index on this machine, with accounts, for the rehearsal of releases (pypiserver)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
READER = ("team", "reading-only")
TOKEN = "rehearsal-token"  # an upload with a token is one of the user __token__, as on other indexes


@dataclass(frozen=True)
class Index:
    """A running index."""

    port: int
    folder: Path
    log: Path

    @property
    def simple(self) -> str:
        """Address that installers read."""
        return f"http://{HOST}:{self.port}/simple/"

    @property
    def upload(self) -> str:
        """Address that publishers write to."""
        return f"http://{HOST}:{self.port}/"

    @property
    def files(self) -> set[str]:
        """Names of the distributions that it holds."""
        return {path.name for path in self.folder.iterdir()}


def free_port() -> int:
    """Port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serve(scratch: Path) -> Iterator[Index]:
    """Serve an empty index from a folder in `scratch` until the block is left; readers need an account."""
    folder = scratch / "index"
    folder.mkdir()
    accounts = "".join(f"{name}:{digest(word)}\n" for name, word in (READER, ("__token__", TOKEN)))
    (scratch / "accounts").write_text(accounts, "utf-8")
    index = Index(free_port(), folder, scratch / "index.log")
    command = [sys.executable, "-m", "pypiserver", "run", "--host", HOST, "--port", str(index.port)]
    command += ["--passwords", str(scratch / "accounts"), "--authenticate", "list,download,update"]
    command += [
        "--disable-fallback",
        "--hash-algo",
        "sha256",
        "--backend",
        "simple-dir",
        "--server",
        "wsgiref",
    ]
    with index.log.open("w") as log:
        server = subprocess.Popen([*command, "-vv", str(folder)], stdout=log, stderr=log)
        try:
            wait(index, server)
            yield index
        finally:
            server.terminate()
            server.wait(timeout=20)


def digest(word: str) -> str:
    """Spell a password as a file of accounts holds it (htpasswd's SHA form)."""
    return "{SHA}" + base64.b64encode(hashlib.sha1(word.encode()).digest()).decode()


def wait(index: Index, server: subprocess.Popen) -> None:
    """Wait until the index answers; SystemExit with its own words where it ends instead."""
    for _ in range(200):
        if server.poll() is not None:
            raise SystemExit(f"the index did not start: {index.log.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection((HOST, index.port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit("the index does not answer")


def half_upload(index: Index, path: Path) -> None:
    """Send the first half of an upload and hang up, as a broken connection does."""
    boundary = "a-boundary-that-no-wheel-holds"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name=":action"\r\n\r\nfile_upload\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="content"; filename="{path.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode()
    body = head + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    account = base64.b64encode(f"__token__:{TOKEN}".encode()).decode()
    connection = http.client.HTTPConnection(HOST, index.port, timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("Authorization", f"Basic {account}")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(body[: len(body) // 2])
    if connection.sock is not None:
        connection.sock.shutdown(socket.SHUT_WR)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.getresponse().read()
    connection.close()
