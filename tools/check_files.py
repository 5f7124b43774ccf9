"""Check every tracked file: no paths of one machine, no secrets, no bulky data, no module too long to read.

A line that has to name such a path (a test of the rule, say) carries the words `check: path`.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import repo

LARGEST = 300_000  # bytes
LONG, TOO_LONG = 400, 450  # lines of a Python module
PICTURES = {".png", ".svg", ".jpg", ".webp"}
LARGEST_PICTURE = 1_000_000
DATA = {
    ".nc",
    ".nc4",
    ".grib",
    ".grb",
    ".grib2",
    ".zarr",
    ".parquet",
    ".tif",
    ".jp2",
    ".gpkg",
    ".npz",
    ".npy",
    ".h5",
}
LARGEST_DATA = 50_000  # a tiny fixture may be tracked; real data never is

MACHINE_PATH = re.compile(r"(?<![\w.~$}/-])/(?:home|Users|root|work|tmp|var/tmp|mnt|scratch)/[\w.~-]")
ALLOWED = "check: path"
SECRETS = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
    "an AWS key": re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{50,})"),
    "a PyPI token": re.compile(r"\bpypi-[A-Za-z0-9_-]{50,}"),
    "a CDS key": re.compile(
        r"(?im)^\s*[\"']?key[\"']?\s*[:=]\s*[\"']?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-"
    ),
    "a password in an address": re.compile(
        r"https?://[^\s/:@{}<>]+:[^\s/@{}<>]+@(?!(?:localhost|127\.0\.0\.1))"
    ),
}


def faults(path: Path, content: bytes) -> Iterator[str]:
    """Each thing that is wrong with one file, as a line of text."""
    suffix = path.suffix.lower()
    limit = LARGEST_PICTURE if suffix in PICTURES else LARGEST_DATA if suffix in DATA else LARGEST
    if len(content) > limit:
        yield f"{path}: {len(content):,} bytes; at most {limit:,} are tracked for such a file"
    if b"\0" in content[:8192]:
        return
    text = content.decode("utf-8", errors="replace")
    for name, pattern in SECRETS.items():
        for found in pattern.finditer(text):
            yield f"{path}:{text.count(chr(10), 0, found.start()) + 1}: looks like {name}"
    if path.name.endswith(".svg"):
        return
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if MACHINE_PATH.search(line) and ALLOWED not in line:
            yield f"{path}:{number}: path of one machine: {line.strip()[:100]}"
    if suffix == ".py" and len(lines) > TOO_LONG:
        yield f"{path}: {len(lines)} lines; split it (aim below {LONG}, never above {TOO_LONG})"


def warnings(path: Path, content: bytes) -> Iterator[str]:
    """Point out what is worth a look in one file, though no fault."""
    count = content.count(b"\n")
    if path.suffix == ".py" and LONG < count <= TOO_LONG:
        yield f"{path}: {count} lines; aim below {LONG}"


def links(root: Path) -> Iterator[str]:
    """Symbolic links that leave the tree."""
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=root, check=True, capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        mode, name = line.split()[0], line.split("\t", 1)[1]
        path = root / name
        if mode == "120000" and not path.resolve().is_relative_to(root.resolve()):
            yield f"{name}: a link out of the tree"


def main(root: Path = repo.ROOT) -> int:
    """Check the tree; 1 where something is wrong."""
    wrong = list(links(root))
    look: list[str] = []
    for path in repo.tracked_files(root):
        content = (root / path).read_bytes()
        wrong += faults(path, content)
        look += warnings(path, content)
    for line in look:
        print(f"warning: {line}")
    for line in wrong:
        print(f"error: {line}")
    print(f"files: {len(wrong)} errors, {len(look)} warnings")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
