"""Downloads of real data through the stores' official clients; what is asked for can be seen beforehand."""

from __future__ import annotations

import json
import logging
import os
import pprint
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from esai_core.errors import EsaiError, UsageError, unknown
from esai_core.job import Request
from esai_core.runs.manifest import sha256

__all__ = ["CLIENTS", "as_json", "as_python", "fetch"]

log = logging.getLogger(__name__)

_STORES = {
    "cds": "https://cds.climate.copernicus.eu/api",
    "ads": "https://ads.atmosphere.copernicus.eu/api",
    "ecds": "https://ecds.ecmwf.int/api",
}


def fetch(requests: Sequence[Request], folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Download what is not there yet.

    Parameters
    ----------
    requests : sequence of Request
        What to ask for.
    folder : path
        Where the targets go; each is written aside and renamed when whole.
    overwrite : bool, default False
        Download also what is there.

    Returns
    -------
    list of Path
        The files, in the order of the requests.

    Raises
    ------
    UsageError
        If the official client or its credentials are missing, or a target leads out of `folder`.
    EsaiError
        If a download fails or has another sha256 than it should.
    """
    folder = Path(folder).expanduser().resolve()
    targets = [_target(request, folder) for request in requests]
    for request in requests:
        if request.client not in CLIENTS:
            raise unknown("client", request.client, CLIENTS, where=request.dataset)
    for request, target in zip(requests, targets, strict=True):
        if target.exists() and not overwrite and _fits(request, target):
            log.info("%s: is there already", target)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.partial")
        log.info("asking %s for %s", request.client, request.dataset)
        try:
            CLIENTS[request.client](request, aside)
            if not aside.exists():
                raise EsaiError("the client wrote no file", where=request.dataset)
            if not _fits(request, aside):
                raise EsaiError(
                    "the download has another sha256 than it should",
                    where=request.dataset,
                    remedy="try again",
                )
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    return targets


def _target(request: Request, folder: Path) -> Path:
    path = Path(os.path.normpath(folder / request.target))
    if Path(request.target).is_absolute() or not path.is_relative_to(folder) or path == folder:
        raise UsageError("a download leads out of its folder", where=request.target)
    return path


def _fits(request: Request, path: Path) -> bool:
    return request.sha256 is None or sha256(path) == request.sha256


def _copernicus(request: Request, target: Path) -> None:
    try:
        import cdsapi
    except ImportError:
        raise UsageError(
            "the official client cdsapi is not installed",
            where=request.dataset,
            remedy="install the extra [fetch], or use --dry-run and send the request yourself",
        ) from None
    try:
        client = cdsapi.Client(url=_STORES[request.client], quiet=True, progress=False)
    except Exception as error:  # cdsapi raises bare Exception when it finds no key
        raise UsageError(
            f"cdsapi cannot be set up: {error}",
            where=_STORES[request.client],
            remedy="see its page on API keys",
        ) from error
    try:
        client.retrieve(request.dataset, dict(request.body), str(target))
    except OSError:
        raise
    except Exception as error:  # cdsapi and its parts raise many kinds, bare Exception included
        raise EsaiError(f"the store refused or failed: {error}", where=request.dataset) from error


def _http(request: Request, target: Path) -> None:
    if not request.dataset.startswith(("https://", "http://")):
        raise UsageError("no web address", where=request.dataset)
    try:
        with urllib.request.urlopen(request.dataset, timeout=60) as answer, target.open("wb") as file:
            while block := answer.read(1 << 20):
                file.write(block)
            length = answer.headers.get("Content-Length")
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise EsaiError(
            f"the download failed: {getattr(error, 'reason', error)}", where=request.dataset
        ) from error
    if length is not None and target.stat().st_size != int(length):
        raise EsaiError("the download ended early", where=request.dataset, remedy="try again")


CLIENTS: dict[str, Callable[[Request, Path], None]] = {
    "cds": _copernicus,
    "ads": _copernicus,
    "ecds": _copernicus,
    "http": _http,
}
"""Client to the function that downloads one request to a path."""


def as_json(requests: Sequence[Request]) -> str:
    """Write requests as JSON."""
    rows = [
        {
            "client": request.client,
            "dataset": request.dataset,
            "body": dict(request.body),
            "target": request.target,
            **({"sha256": request.sha256} if request.sha256 else {}),
            **({"note": request.note} if request.note else {}),
        }
        for request in requests
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False)


def as_python(requests: Sequence[Request]) -> str:
    """Write requests as a script that sends them through the official clients."""
    lines = []
    if any(request.client in _STORES for request in requests):
        lines += ["import cdsapi", ""]
    if any(request.client == "http" for request in requests):
        lines += ["import urllib.request", ""]
    for request in requests:
        if request.note:
            lines.append(f"# {' '.join(request.note.split())}")
        if request.client == "http":
            lines += [f"urllib.request.urlretrieve({request.dataset!r}, {request.target!r})", ""]
            continue
        body = pprint.pformat(dict(request.body), sort_dicts=False, width=100)
        lines.append(f"client = cdsapi.Client(url={_STORES[request.client]!r})")
        lines += [f"client.retrieve({request.dataset!r}, {body}, {request.target!r})", ""]
    return "\n".join(lines).rstrip()
