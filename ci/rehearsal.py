"""Parts of the rehearsal of a release: a copy of the tree to release from, accounts, an impostor."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
import installing
import loopback
import repo
import static_index

WHO = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "rehearsal", "EMAIL": "rehearsal@example.org"}.items()
}


def git(tree: Path, *arguments: str) -> None:
    """Run git in the copied tree under the rehearsal's name."""
    command = ["git", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false", *arguments]
    subprocess.run(command, cwd=tree, env={**os.environ, **WHO}, check=True, capture_output=True)


def copy_tree(target: Path, root: Path = repo.ROOT) -> Path:
    """Copy what git tracks or would track into a fresh repository, so that releases can be made there."""
    for path in repo.tracked_files(root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target / path)
    git(target, "init", "--quiet", "--initial-branch=main")
    git(target, "add", "--all")
    git(target, "commit", "--quiet", "--message=start")
    return target


def release(tree: Path, package: str, version: str, *, note: str = "Rehearsed.") -> str:
    """Make a release with the tree's own tool; what it says. A package that has no fragment is given one."""
    changes = repo.find(package, tree).folder / "changes"
    if not list(changes.glob("*.md")):
        changes.mkdir(exist_ok=True)
        (changes / "+rehearsal.change.md").write_text(f"{note}\n", "utf-8")
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", "--message=fragment")
    command = [sys.executable, str(tree / "tools" / "release.py"), package, version]
    done = subprocess.run(command, cwd=tree, env={**os.environ, **WHO}, text=True, capture_output=True)
    return done.stdout + done.stderr


def publisher(index: loopback.Index, *, token: str = loopback.TOKEN) -> dict[str, str]:
    """Environment of a publisher; attestations are made by CI, and this index takes none."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("UV_PUBLISH")}
    return {
        **plain,
        "UV_PUBLISH_URL": index.upload,
        "UV_PUBLISH_TOKEN": token,
        "UV_PUBLISH_NO_ATTESTATIONS": "true",
    }


def readable(index: loopback.Index) -> str:
    """Address of the index with a reader's account, for clients that take it from the address alone."""
    name, word = loopback.READER
    return index.simple.replace("://", f"://{name}:{word}@")


def counterfeit(wheel: Path, target: Path) -> Path:
    """Make a wheel that claims to be a far newer version of a package."""
    module, version = wheel.name.split("-")[:2]
    fake = target / wheel.name.replace(f"-{version}-", "-99.0.0-")
    target.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(fake, "w") as made:
        for name in source.namelist():
            if name.startswith(f"{module}-{version}.dist-info/") and not name.endswith("RECORD"):
                content = source.read(name).replace(f"Version: {version}".encode(), b"Version: 99.0.0")
                made.writestr(name.replace(f"-{version}.", "-99.0.0."), content)
        made.writestr(f"{module}-99.0.0.dist-info/RECORD", "")
    return fake


def impostor(
    index: loopback.Index, core: Sequence[Path], scratch: Path, hold: Callable[[bool, str, object], None]
) -> None:
    """Offer a newer core of the same name on the second index: the documented command must not look there."""
    wheel = next(path for path in core if path.suffix == ".whl")
    version = wheel.name.split("-")[1]
    fake = counterfeit(wheel, scratch / "fake")
    static_index.write([fake], scratch / "elsewhere")
    elsewhere = (scratch / "elsewhere" / "simple").as_uri()
    place = scratch / "impostor"
    _, said = installing.resolve(place, index, repo.CORE, "--default-index", elsewhere)
    hold(
        f"esai-core=={version}" in said and "99.0.0" not in said,
        "an impostor elsewhere is not looked at",
        said,
    )
    best = ["--default-index", elsewhere, "--index-strategy", "unsafe-best-match"]
    _, said = installing.resolve(place, index, repo.CORE, *best)
    hold("esai-core==99.0.0" in said, "(it would be taken with `--index-strategy unsafe-best-match`)", said)
