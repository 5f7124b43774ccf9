"""Write a package index of plain files, for a team that shares a folder or a web server and nothing more.

    python3 ci/static_index.py dist/release --out /share/esai      # check: path
    uv pip install --index file:///share/esai/simple esai-fire

The pages follow the simple repository API (PEP 503) with the digest of each file, the Python it asks for,
and its metadata beside it (PEP 658), so that an installer resolves without fetching a wheel.
"""

from __future__ import annotations

import argparse
import hashlib
import html
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from email.parser import BytesParser
from pathlib import Path

PAGE = '<!DOCTYPE html>\n<html><head><meta name="pypi:repository-version" content="1.0">'
PAGE += "<title>{title}</title></head>\n"


def digest(content: bytes) -> str:
    """Hex digest (sha256)."""
    return hashlib.sha256(content).hexdigest()


def project(path: Path) -> str:
    """Normalised name of the project that a distribution file belongs to."""
    found = re.match(r"(.+?)-\d", path.name)
    if found is None or not path.name.endswith((".whl", ".tar.gz")):
        raise SystemExit(f"{path} is no wheel or sdist; give a folder that holds only those")
    return re.sub(r"[-_.]+", "-", found[1]).lower()


def metadata(path: Path) -> bytes | None:
    """Metadata inside a wheel; None for an sdist."""
    if path.suffix != ".whl":
        return None
    with zipfile.ZipFile(path) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return wheel.read(name)


def link(path: Path, core: bytes | None) -> str:
    """Line of a project's page for one file."""
    marks = ""
    if core is not None:
        wanted = BytesParser().parsebytes(core)["Requires-Python"]
        marks = f' data-core-metadata="sha256={digest(core)}"'
        marks += f' data-requires-python="{html.escape(wanted)}"' if wanted else ""
    name = html.escape(path.name)
    return f'<a href="../../files/{name}#sha256={digest(path.read_bytes())}"{marks}>{name}</a><br>\n'


def write(sources: Sequence[Path], out: Path) -> list[str]:
    """Add distributions to the index in `out`.

    Parameters
    ----------
    sources : sequence of Path
        Wheels and sdists, or folders of them.
    out : Path
        The index; made where it does not exist. Files that it holds stay.

    Returns
    -------
    list of str
        The projects that it now holds.

    Raises
    ------
    SystemExit
        If a file of the same name and other contents is there: a version is never made twice.
    """
    files = [
        path for source in sources for path in (sorted(source.iterdir()) if source.is_dir() else [source])
    ]
    store = out / "files"
    new = {path: store / path.name for path in files if project(path)}
    for path, target in new.items():
        if target.exists() and target.read_bytes() != path.read_bytes():
            raise SystemExit(f"{target} is there with other contents; a released file is never replaced")
    store.mkdir(parents=True, exist_ok=True)
    for path, target in new.items():
        if not target.exists():
            part = target.with_suffix(".part")
            shutil.copyfile(path, part)
            part.replace(target)
    kept = [path for path in sorted(store.iterdir()) if path.name.endswith((".whl", ".tar.gz"))]
    projects = sorted({project(path) for path in kept})
    pages = {"": "".join(f'<a href="{name}/">{name}</a><br>\n' for name in projects)}
    for path in kept:
        core = metadata(path)
        if core is not None:
            path.with_name(f"{path.name}.metadata").write_bytes(core)
        pages[project(path)] = pages.get(project(path), "") + link(path, core)
    for name, text in pages.items():
        folder = out / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".part", delete=False) as made:
            made.write(f"{PAGE.format(title=name or 'esai')}<body>\n{text}</body></html>\n")
        Path(made.name).chmod(0o644)
        Path(made.name).replace(folder / "index.html")
    return projects


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="static_index", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("sources", nargs="+", type=Path, help="wheels and sdists, or folders of them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the index")
    options = parser.parse_args(arguments)
    lost = [path for path in options.sources if not path.exists()]
    if lost:
        print(f"error: no such file: {lost[0]}", file=sys.stderr)
        return 2
    print("\n".join(write(options.sources, options.out)))
    print((options.out / "simple").resolve().as_uri())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
