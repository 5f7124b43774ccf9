"""Follow README and tutorials of a package word for word in an empty folder; run its docstrings' examples.

    python3 tools/dev.py tutorials esai-fire

Run with the Python of an environment in which the package is installed as a user has it. Every `$ ` line of a
console block is run, in order; ESAI_DATA is not set, and the user's own files are those of the demo:

- a config that `init` wrote is filled in with the demo's, which names made-up inputs;
- `--set key=FILE` with a file that is not there is left out, so that the demo's file stays;
- a command on a real data set (an example, or a file of the user's) has to stop where that file is missing,
  with one line: everything before it holds.

Python blocks are compiled, and what they import has to be there. `<!-- not run: REASON -->` above a block
leaves it out and says so.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
import dev
import repo

FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?^```(?P<kind>console|python|pycon)\n(?P<text>.*?)^```",
    re.M | re.S,
)
NO_FILE = ("no such file", "no such run folder", "no such config", "no file matches", "is not set")
LIMIT = 900  # seconds for one command


@dataclass
class Follower:
    """One reader of one package's pages, with a folder of their own."""

    package: repo.Package
    folder: Path
    demos: dict[tuple[str, ...], Path] = field(default_factory=dict)  # config of each job's demo
    done: dict[str, str] = field(default_factory=dict)

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command as a shell without ESAI_DATA would."""
        hidden = ("ESAI_DATA", "PYTHONPATH", "VIRTUAL_ENV")
        env = {name: value for name, value in os.environ.items() if name not in hidden}
        env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
        return subprocess.run(
            list(words), cwd=self.folder, env=env, text=True, capture_output=True, timeout=LIMIT
        )

    def demo_config(self, job: tuple[str, ...]) -> Path:
        """Config of the demo of a job; the demo is run where no page did so before."""
        if job not in self.demos:
            out = self.folder / "-".join((".demo", *job))
            done = self.run([self.package.name, *job, "demo", "--out", str(out)])
            if done.returncode != 0:
                raise SystemExit(f"the demo fails: {done.stderr[-2000:]}")
            self.remember(job, out)
        return self.demos[job]

    def remember(self, job: tuple[str, ...], out: Path) -> None:
        """Note where a demo put its config."""
        self.demos[job] = next(out.with_name(f"{out.name}-inputs").glob("*.toml"))

    def follow(self, text: str) -> str:
        """Run one line; what came of it. SystemExit where it does not hold."""
        words = shlex.split(text, comments=True)
        line = shlex.join(words)
        if line in self.done:
            return "as before"
        if words[:2] == ["pip", "install"]:
            held = "installed" if repo.split(words[2])[0] == self.package.name else ""
        elif words[:2] == ["python3", "tools/dev.py"]:
            known = ("demo", "nox", "constraints", "new-package", *dev.WITH_ARGUMENTS, *dev.SESSIONS)
            held = "a command of tools/dev.py" if words[2] in known else ""
        elif words[0] == self.package.name:
            held = self.ours(words)
        else:
            held = ""
        if not held:
            raise SystemExit(f"does not hold: $ {line}\nno way to follow it is known (ci/check_commands.py)")
        self.done[line] = held
        return held

    def ours(self, words: list[str]) -> str:
        """Run a command of the package; what came of it."""
        verbs = [word for word in words[1:] if not word.startswith("-")]
        plain = ("demo", "init", "fetch", "run", "train", "predict", "evaluate", "report", "config", "rerun")
        job = tuple(verbs[:1]) if len(verbs) > 1 and verbs[0] not in plain and verbs[1] in plain else ()
        verb = verbs[len(job)] if len(verbs) > len(job) else ""
        kept, left_out = self.without_absent_files(words)
        done = self.run(kept)
        said = done.stderr.strip().splitlines()
        if done.returncode == 0:
            if verb == "demo":
                self.remember(job, Path(done.stdout.strip().splitlines()[-1]).parent)
            if verb == "init":
                self.fill_in(job, Path(done.stdout.strip().splitlines()[-1]))
            return "ran on the demo's inputs" if left_out else "ran"
        absent = done.returncode in (2, 3) and said and any(text in said[-1] for text in NO_FILE)
        if absent and "Traceback" not in done.stderr:
            return f"stops at the data: {said[-1].split('error: ')[-1][:90]}"
        raise SystemExit(
            f"does not hold: $ {shlex.join(words)}\nexit {done.returncode}\n{done.stderr[-3000:]}"
        )

    def without_absent_files(self, words: list[str]) -> tuple[list[str], bool]:
        """Leave out each ``--set key=FILE`` whose file is the user's own."""
        kept: list[str] = []
        left_out = False
        for number, word in enumerate(words):
            named = re.findall(r"[\w./-]+\.\w{2,8}", word.partition("=")[2])
            absent = [name for name in named if not (self.folder / name).exists()]
            if number and words[number - 1] == "--set" and absent:
                kept.pop()
                left_out = True
                continue
            kept.append(word)
        return kept, left_out

    def fill_in(self, job: tuple[str, ...], config: Path) -> None:
        """Fill the demo's inputs into a config that `init` wrote."""
        source = self.demo_config(job)
        text = source.read_text("utf-8")
        for value in sorted(set(strings(tomllib.loads(text))), key=len, reverse=True):
            if value and (source.parent / value).exists():
                text = text.replace(f'"{value}"', f'"{source.parent / value}"')
        (self.folder / config).write_text(text, "utf-8")


def strings(value: object) -> Iterator[str]:
    """Yield every text in nested tables."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def commands(block: str) -> Iterator[str]:
    """Yield the `$ ` lines of a console block, continued lines joined."""
    for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines():
        if line.startswith("$ "):
            yield line[2:]


def check_python(block: str) -> str:
    """Compile a block and import what it imports; SystemExit where that fails."""
    tree = ast.parse(block)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    code = "\n".join(map(ast.unparse, imports))
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"does not hold:\n{code}\n{done.stderr[-2000:]}")
    return f"{len(imports)} imports hold"


def check_session(page: str, folder: Path) -> str:
    """Run the interactive examples of a page, in order; SystemExit where one gives something else."""
    blocks = [block["text"] for block in FENCE.finditer(page) if block["kind"] == "pycon"]
    path = folder / ".session.txt"
    path.write_text("\n\n".join(blocks), "utf-8")
    done = subprocess.run([sys.executable, "-m", "doctest", str(path)], text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"does not hold:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return f"{sum(block.count('>>> ') for block in blocks)} interactive lines hold"


EXAMPLES = """
import doctest, importlib, sys
failed, tried = doctest.testmod(importlib.import_module(sys.argv[1]))
print(f"{tried} lines hold")
sys.exit(failed)
"""


def check_docstring(package: repo.Package, name: str) -> str:
    """Run the examples in the docstrings of an installed module; SystemExit where one does not hold."""
    command = [sys.executable, "-c", EXAMPLES, name]
    done = subprocess.run(command, cwd=package.folder, text=True, capture_output=True)
    if done.returncode != 0 and "ModuleNotFoundError" in done.stderr:
        return f"not run: {done.stderr.strip().splitlines()[-1]}"  # a module of an extra
    if done.returncode != 0:
        raise SystemExit(f"does not hold:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return done.stdout.strip()


Check = tuple[str, str, Callable[[], str]]
"""Where something stands, the command that it is (if it is one), and how to try whether it holds."""


def in_docstrings(package: repo.Package) -> Iterator[Check]:
    """Yield the modules of a package that show examples."""
    root = package.folder / "src"
    for path in sorted((root / package.module).rglob("*.py")):
        if ">>> " in path.read_text("utf-8"):
            name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            yield name, "", partial(check_docstring, package, name)


def on_page(page: Path, reader: Follower, root: Path) -> Iterator[Check]:
    """Yield what a page says that can be tried."""
    text = page.read_text("utf-8")
    where = str(page.relative_to(root))
    if "```pycon" in text:
        yield where, "", partial(check_session, text, reader.folder)
    for block in FENCE.finditer(text):
        place = f"{where}:{text.count(chr(10), 0, block.start()) + 1}"
        if block["why"]:
            yield place, "", partial("not run: {}".format, block["why"])
        elif block["kind"] == "python":
            yield place, "", partial(check_python, block["text"])
        elif block["kind"] == "console":
            for command in commands(block["text"]):
                yield place, f": $ {command}", partial(reader.follow, command)


def pages(package: repo.Package, root: Path = repo.ROOT) -> list[Path]:
    """List the README of a package, its pages, and those that are marked as about it."""
    mark = f"<!-- package: {package.name} -->"
    shared = [path for path in sorted((root / "docs").rglob("*.md")) if mark in path.read_text("utf-8")]
    own = sorted((root / "docs" / "packages").glob(f"{package.name}*.md"))
    return [package.folder / "README.md", *own, *shared]


def main(arguments: Sequence[str] | None = None, root: Path = repo.ROOT) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="check_commands", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("package")
    parser.add_argument("--folder", type=Path, help="where to follow them (default: an empty one, not kept)")
    parser.add_argument("--demo", nargs="+", default=[], help="a demo that has been run there: VERB... OUT")
    options = parser.parse_args(arguments)
    package = repo.find(options.package, root)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        if (package.folder / "examples").is_dir():
            shutil.copytree(package.folder / "examples", folder / "examples")
        reader = Follower(package, folder)
        if options.demo:
            *verb, out = options.demo
            reader.done[shlex.join([package.name, *verb, "--out", out])] = "ran"
            reader.remember(tuple(verb[:-1]), folder / out)
        checks = [*in_docstrings(package)]
        checks += [check for page in pages(package, root) for check in on_page(page, reader, root)]
        wrong = 0
        for place, command, hold in checks:  # all of them: one fault should not hide another
            started = time.monotonic()
            try:
                held = hold()
            except (SystemExit, subprocess.TimeoutExpired) as fault:
                wrong += 1
                print(f"{place}: {fault}", file=sys.stderr, flush=True)
            else:
                print(f"{place}: {held} ({time.monotonic() - started:.0f} s){command}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
