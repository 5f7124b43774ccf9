"""Start a package from `tools/template`: one that works, is documented, and passes every check.

python3 tools/dev.py new-package esai-drought --summary "Drought indices from station and grid data."
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import constraints
import repo

NAME = re.compile(r"esai-[a-z][a-z0-9]*")


def create(name: str, summary: str, root: Path = repo.ROOT) -> Path:
    """Copy the template under a new name.

    Parameters
    ----------
    name : str
        Name of the distribution, ``esai-`` and one word.
    summary : str
        One sentence that says what the package does; it ends with a full stop.
    root : Path
        The tree.

    Returns
    -------
    Path
        Folder of the new package.

    Raises
    ------
    SystemExit
        If the name or the summary does not fit, or the package exists.
    """
    if not NAME.fullmatch(name):
        raise SystemExit(
            f"{name!r} is no name for a package: it is esai- and one word in small letters, esai-drought"
        )
    if not re.fullmatch(r"[A-Z][^\"\\\n]{10,100}\.", summary):
        raise SystemExit(
            "the summary is one sentence of at most 100 characters without quotes, with a full stop"
        )
    if name in {package.name for package in repo.packages(root)} | {"esai-template"}:
        raise SystemExit(f"{name} exists")
    target = root / "packages" / name
    source = repo.ROOT / "tools" / "template"
    word = name.removeprefix("esai-")
    words = {
        "esai-template": name,
        "esai_template": f"esai_{word}",
        "TemplateConfig": f"{word.capitalize()}Config",
        "A package made from the template.": summary,
        "esai-core>=0.0.0": f"esai-core>={repo.find(repo.CORE, root).metadata['project']['version']}",
    }
    for path in (path for path in repo.tracked_files(source)):
        place = target / str(path).replace("esai_template", f"esai_{word}")
        text = (source / path).read_text("utf-8")
        for old, new in words.items():
            text = text.replace(old, new)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="new-package", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", help="esai- and one word")
    parser.add_argument("--summary", required=True, help="one sentence: what the package does")
    options = parser.parse_args(arguments)
    target = create(options.name, options.summary)
    status = constraints.main([options.name])
    nox = [sys.executable, "-m", "nox", "--noxfile", str(repo.ROOT / "noxfile.py"), "--session", "format"]
    status = status or subprocess.run([*nox, "--", str(target)], cwd=repo.ROOT).returncode
    print(f"{target.relative_to(repo.ROOT)} is there; next: python3 tools/dev.py test {options.name}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
