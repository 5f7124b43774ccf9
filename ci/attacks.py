"""Attack the run folder of an installed package: each attempt ends in one clear line and changes nothing."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import installing


class Bomb:
    """Unpickling it makes a folder: the proof that code from a file was run."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, ...]:
        """Have the loader call ``os.mkdir``."""
        return os.mkdir, (str(self.proof),)


@dataclass(frozen=True)
class Target:
    """An installed package and a run folder that its demo left."""

    place: Path
    package: str
    job: Sequence[str]
    run: Path

    def ask(self, *words: str) -> tuple[int, list[str]]:
        """Run the command; its exit code and what it said."""
        program = installing.python(self.place).parent / self.package
        done = subprocess.run(
            [str(program), *self.job, *words, "-q"],
            cwd=self.run.parent,
            env=installing.environment(),
            text=True,
            capture_output=True,
        )
        return done.returncode, done.stderr.strip().splitlines()

    def copy(self, name: str) -> Path:
        """Copy the run folder, to be attacked."""
        return Path(shutil.copytree(self.run, self.run.with_name(f"{self.run.name}-{name}")))


def models(run: Path) -> list[Path]:
    """List the files of the models, those with a digest in the manifest first."""
    outputs = json.loads((run / "manifest.json").read_text("utf-8"))["outputs"]
    found = [name for name in outputs if name.startswith(("model/", "models/"))]
    return [run / name for name in sorted(found, key=lambda name: outputs[name]["sha256"] is None)]


def attempts(target: Target) -> Iterator[tuple[str, bool, object]]:
    """Try everything; what was tried, whether it was refused as it should be, and what was said."""
    proof = target.run.with_name("code-was-run")
    found = models(target.run)
    yield "its run folder holds a model", bool(found), target.run
    for kind, content in (
        ("a pickle as a model", pickle.dumps(Bomb(proof))),
        ("a model of another package", json.dumps({"network": "another", "format": 1}).encode()),
    ):
        folder = target.copy("model")
        (folder / found[0].relative_to(target.run)).write_bytes(content)
        code, said = target.ask("predict", str(folder))
        held = code == 3 and len(said) == 1 and found[0].name in said[0] and not proof.exists()
        yield f"{kind} is refused", held, (code, said)
        shutil.rmtree(folder)

    folder = target.copy("manifest")
    victim = target.run.with_name("victim")
    victim.write_text("years of work", "utf-8")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    last = manifest["steps"][-1]["step"]
    manifest["outputs"]["../victim"] = {"step": last, "sha256": None}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    code, said = target.ask("predict", str(folder))
    kept = victim.read_text("utf-8") == "years of work"
    yield "`../` among the outputs is refused", code == 2 and len(said) == 1 and kept, (code, said)
    shutil.rmtree(folder)

    folder = target.copy("config")
    config = folder / "config.toml"
    config.write_text(
        re.sub(r"^schema_version = \d+", "schema_version = 99", config.read_text("utf-8"), flags=re.M),
        "utf-8",
    )
    code, said = target.ask("config", "check", str(config))
    held = code == 2 and len(said) == 1 and "schema_version 99" in said[0]
    yield "a config of another version is refused", held, (code, said)
    shutil.rmtree(folder)

    folder = target.copy("path")
    config = folder / "config.toml"
    text = config.read_text("utf-8")
    named = next(name for name in re.findall(r'"(/[^"]+)"', text) if Path(name).exists())
    config.write_text(text.replace(f'"{named}"', '"../victim"'), "utf-8")
    code, said = target.ask("config", "check", str(config))
    held = code == 2 and len(said) == 1 and "../victim leads out of the run folder" in said[0]
    yield "`../` in the config of a run folder is refused", held, (code, said)
    shutil.rmtree(folder)
