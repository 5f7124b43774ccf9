"""Build the distributions of packages and check them before anyone can get them.

    python3 tools/dev.py nox -s dist                  every package, into dist/release
    python3 tools/dev.py nox -s dist -- esai-fire     one

Checked: the metadata and that the README renders (twine, strict), the contents (the package and nothing else:
no test, no data, no path of a machine), and the digests: the same sources, built again from a copy elsewhere,
and the wheel built from the sdist, give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from email.parser import BytesParser
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import check_files
import repo

SOURCE_DATE = "1704067200"  # as in the noxfile: timestamps inside, so that equal sources give equal bytes
KINDS = {
    ".py",
    ".typed",
    ".css",
    ".js",
    ".j2",
    ".html",
    ".svg",
    ".json",
    ".toml",
}  # what a package consists of
LARGEST = 2_000_000  # bytes; nothing but code belongs into a wheel
DIST_INFO = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
SDIST = (
    "src/",
    "examples/",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "pyproject.toml",
    "PKG-INFO",
    ".gitignore",
)


def build(folder: Path, target: Path, *, kinds: Sequence[str] = ("sdist", "wheel")) -> list[Path]:
    """Build the distributions of the package in `folder` into `target`; their paths."""
    target.mkdir(parents=True, exist_ok=True)
    before = set(target.iterdir())
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target.resolve())]
    command += [part for kind in kinds for part in ("--target", kind)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": SOURCE_DATE}
    done = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{folder.name} cannot be built: {done.stderr.strip() or done.stdout.strip()}")
    return sorted(set(target.iterdir()) - before)


def members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a wheel or sdist, without the folder that an sdist puts around them."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            for name in wheel.namelist():
                yield name, wheel.read(name)
        return
    with tarfile.open(path) as sdist:
        for member in sdist:
            content = sdist.extractfile(member) if member.isfile() else None
            if content is None and not member.isdir():
                yield member.name.partition("/")[2], b""
            elif content is not None:
                yield member.name.partition("/")[2], content.read()


def misplaced(path: Path, package: repo.Package) -> Iterator[str]:
    """Name what a distribution holds that is not its to hold."""
    wheel = path.suffix == ".whl"
    info = f"{package.module}-{package.metadata['project']['version']}.dist-info/"
    for name, content in members(path):
        place = PurePosixPath(name)
        inside = name.startswith((f"{package.module}/", f"src/{package.module}/"))
        if place.is_absolute() or ".." in place.parts:
            yield f"{path.name}: {name} leads out of the archive"
        elif place.name.startswith("test_") or {"tests", "conftest.py", "__pycache__"} & set(place.parts):
            yield f"{path.name}: {name} is a test; tests stay in the tree"
        elif place.suffix.lower() in check_files.DATA | {".csv", ".h5", ".keras", ".zip"}:
            yield f"{path.name}: {name} is data; examples make theirs or name files under ESAI_DATA"
        elif inside and place.suffix not in KINDS:
            yield f"{path.name}: {name} is no kind of file a package consists of ({', '.join(sorted(KINDS))})"
        elif wheel and not inside and name.removeprefix(info) not in DIST_INFO:
            yield f"{path.name}: {name} lies outside {package.module}; check [tool.hatch.build.targets.wheel]"
        elif not wheel and not name.startswith(SDIST):
            yield f"{path.name}: {name} does not belong into an sdist; see [tool.hatch.build.targets.sdist]"
        elif inside:
            yield from (f"{path.name}: {fault}" for fault in check_files.faults(Path(name), content))


def wrong_metadata(path: Path, package: repo.Package) -> Iterator[str]:
    """Name what is wrong with the metadata inside a distribution."""
    files = dict(members(path))
    info = f"{package.module}-{package.metadata['project']['version']}.dist-info"
    raw = files.get(f"{info}/METADATA" if path.suffix == ".whl" else "PKG-INFO")
    if raw is None:
        yield f"{path.name}: no metadata of {package.name} {package.metadata['project']['version']} inside"
        return
    found = BytesParser().parsebytes(raw)
    project = package.metadata["project"]
    for key, wanted in {
        "Name": package.name,
        "Version": project["version"],
        "License-Expression": "Apache-2.0",
        "Requires-Python": project["requires-python"],
        "Description-Content-Type": "text/markdown",
    }.items():
        if found[key] != wanted:
            yield f"{path.name}: {key} is {found[key]!r}, not {wanted!r}"
    for line in found.get_all("Requires-Dist", []):
        needed = Requirement(line)
        if needed.url:
            yield f"{path.name}: requires {line}: an address is no version; an index refuses that"
        if needed.name.startswith("esai-") and needed.name != repo.CORE:
            yield f"{path.name}: requires {needed.name}; a package requires {repo.CORE} and no other package"
    if not [name for name in files if name.endswith("LICENSE")]:
        yield f"{path.name}: no LICENSE inside; copy the one of the root beside the pyproject.toml"
    if path.stat().st_size > LARGEST:
        yield f"{path.name}: {path.stat().st_size:,} bytes; at most {LARGEST:,} are published"


def digest(path: Path) -> str:
    """Hex digest (sha256) of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def irreproducible(built: Sequence[Path], package: repo.Package) -> Iterator[str]:
    """Name what differs when the package is built again: from a copy elsewhere, and from its own sdist."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "another place" / package.name
        for path in repo.tracked_files(package.folder):
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package.folder / path, copy / path)
            os.utime(copy / path, (1, 1))
            (copy / path).chmod(0o600)
        ignored = package.folder.parents[1] / ".gitignore"  # an sdist takes it along, from however far up
        if ignored.exists():
            shutil.copyfile(ignored, copy.parent / ".gitignore")
        again = {path.name: path for path in build(copy, Path(scratch) / "again")}
        for path in built:
            if path.name not in again or digest(again[path.name]) != digest(path):
                yield f"{path.name}: built again from a copy it has another digest; what varies in it?"
        sdist = next(path for path in built if path.suffix != ".whl")
        with tarfile.open(sdist) as archive:
            archive.extractall(Path(scratch) / "sdist", filter="data")
        inner = next((Path(scratch) / "sdist").iterdir())
        for wheel in build(inner, Path(scratch) / "from-sdist", kinds=["wheel"]):
            if digest(wheel) != digest(next(path for path in built if path.name == wheel.name)):
                yield f"{wheel.name}: built from the sdist it differs; the sdist lacks something"


def unrendered(built: Sequence[Path]) -> list[str]:
    """Say what twine finds in the metadata, the README as an index would show it included."""
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *map(str, built)]
    done = subprocess.run(command, text=True, capture_output=True)
    return [] if done.returncode == 0 else [line for line in (done.stdout + done.stderr).splitlines() if line]


def checked(package: repo.Package, target: Path) -> tuple[list[Path], list[str]]:
    """Build one package into `target` and check it: (the files, what is wrong with them)."""
    for old in target.glob(f"{package.module}-*"):
        old.unlink()
    built = build(package.folder, target)
    wrong = [line for path in built for line in misplaced(path, package)]
    wrong += [line for path in built for line in wrong_metadata(path, package)]
    return built, [*wrong, *irreproducible(built, package), *unrendered(built)]


def main(arguments: Sequence[str] | None = None, root: Path = repo.ROOT) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="check_dist", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("package", nargs="*", help="only these")
    parser.add_argument("--out", type=Path, default=root / "dist" / "release", help="where they are put")
    options = parser.parse_args(arguments)
    failed = 0
    for package in [repo.find(name, root) for name in options.package] or repo.packages(root):
        built, wrong = checked(package, options.out)
        for path in built:
            print(f"{digest(path)}  {path.name}  {path.stat().st_size:,} bytes")
        for line in wrong:
            print(f"error: {line}")
        failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
