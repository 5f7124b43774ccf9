"""Rehearse a release of every package against an index on this machine, and install each one from it alone.

    python3 tools/dev.py release-check                      everything, about ten minutes
    python3 tools/dev.py release-check esai-fire            install this one only
    python3 tools/dev.py release-check --table docs/reference/footprint.md

The tree is copied, so tags and versions made here stay here. What is not ours comes from the usual index;
that no name of ours is asked for there is read from the installer's own log, and tried with an impostor.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
import attacks
import check_dist
import core_compat
import installing
import loopback
import publish
import rehearsal
import repo

AIM = 15  # minutes for the whole; a slower machine is no fault, so it is said and not held


class Steps:
    """What was tried, with the time it took; what does not hold ends the rehearsal."""

    def __init__(self) -> None:
        self.started = self.last = time.monotonic()

    def hold(self, holds: bool, text: str, evidence: object = "") -> None:
        """Say that something holds, or stop with what was seen."""
        if not holds:
            raise SystemExit(f"release-check: does not hold: {text}\n{evidence}")
        now = time.monotonic()
        print(f"{now - self.started:6.0f} s  {text}", flush=True)
        self.last = now


def release_all(tree: Path, out: Path, steps: Steps) -> dict[str, list[Path]]:
    """Release and build every package of the copied tree, the core first; their files by package."""
    built = {}
    for package in repo.packages(tree):
        version = str(package.metadata["project"]["version"])
        said = rehearsal.release(tree, package.name, version)
        files, wrong = check_dist.checked(repo.find(package.name, tree), out)
        steps.hold(not wrong, f"{package.name} {version}: released, built, checked, reproducible", wrong)
        steps.hold(f"{package.name}-v{version} is made" in said, f"{package.name}-v{version}: tagged", said)
        built[package.name] = files
    return built


def publish_all(index: loopback.Index, built: dict[str, list[Path]], scratch: Path, steps: Steps) -> None:
    """Publish everything, with the accidents that happen on the way."""
    files = [path for paths in built.values() for path in paths]
    env = rehearsal.publisher(index, token="not-the-token")
    status, said = publish.publish(files, check_url=rehearsal.readable(index), env=env)
    held = status != 0 and not index.files and "check UV_PUBLISH_TOKEN" in said
    steps.hold(held, "a bad token is refused and leaves nothing", said)

    env = rehearsal.publisher(index)
    broken = next(path for path in files if path.suffix == ".whl")
    loopback.half_upload(index, broken)
    left = index.folder / broken.name
    if (
        left.exists()
    ):  # the server kept what it got; an installer must not take it, nor a publisher pass it over
        status, said = installing.resolve(scratch / "half", index, "esai-core", deep=True)
        steps.hold(status != 0, "half an upload cannot be installed", said)
        status, said = publish.publish(files, check_url=rehearsal.readable(index), env=env)
        steps.hold(
            status != 0 and "file removed there" in said,
            "half an upload is noticed and named",
            said,
        )
        left.unlink()
    status, said = publish.publish(files, check_url=rehearsal.readable(index), env=env)
    whole = all(
        check_dist.digest(index.folder / path.name) == check_dist.digest(path)
        for path in files
        if path.name in index.files
    )
    complete = status == 0 and index.files == {path.name for path in files} and whole
    steps.hold(complete, f"{len(files)} files of {len(built)} packages published, digests equal", said)

    status, said = publish.publish(files, check_url=rehearsal.readable(index), env=env)
    steps.hold(status == 0 and "Uploading" not in said, "publishing again changes nothing and succeeds", said)
    other = scratch / "other" / broken.name
    other.parent.mkdir()
    other.write_bytes(broken.read_bytes() + b"\0")
    for check in (rehearsal.readable(index), None):
        status, said = publish.publish([other], check_url=check, env=env)
        kept = check_dist.digest(index.folder / broken.name) == check_dist.digest(broken)
        steps.hold(status != 0 and kept, "other contents under a released name are refused", said)


def demo_of(package: repo.Package) -> list[str]:
    """Verb of the demo of a package, with its job where there are several."""
    return list(package.metadata.get("tool", {}).get("esai", {}).get("demo", ["demo"]))


def install_all(
    index: loopback.Index, names: Sequence[str], tree: Path, scratch: Path, steps: Steps
) -> list[dict]:
    """Install each package alone, two at a time; what was measured."""
    chosen = [package for package in repo.packages(tree) if not names or package.name in names]
    with ThreadPoolExecutor(max_workers=2) as pool:
        made = [pool.submit(install_one, index, package, tree, scratch, steps) for package in chosen]
    failed = [str(row.exception()) for row in made if row.exception() is not None]
    if failed:  # one package's fault does not hide another's
        raise SystemExit("\n\n".join(failed))
    return [row.result() for row in made]


def install_one(
    index: loopback.Index, package: repo.Package, tree: Path, scratch: Path, steps: Steps
) -> dict:
    """Install a package into a fresh environment, follow its pages, attack its run folder; the figures."""
    place = installing.fresh(scratch / package.name)
    seconds, said = installing.install(place, index, package.name, twins=repo.twins(package, tree, set()))
    asked = installing.lookups(said)
    astray = sorted(url for url in asked if "/esai" in url and not url.startswith(index.simple))
    seen = f"{index.simple}esai-core/" in asked and any(url.endswith("/simple/numpy/") for url in asked)
    steps.hold(seen and not astray, f"{package.name}: no esai name asked elsewhere", astray or asked)
    found = installing.distributions(place)
    ours = sorted(name for name in found if name.startswith("esai-"))
    steps.hold(
        ours == sorted({repo.CORE, package.name}), f"{package.name}: with it came {ours} of ours", found
    )
    heavy = sorted({"tensorflow", "tensorflow-cpu", "keras"} & set(found))
    if not any(repo.requirement_name(line) in {"keras", "tensorflow"} for line in needs(package, tree)):
        steps.hold(not heavy, f"{package.name}: installs without TensorFlow", heavy)
    row = {"package": package.name, "version": found[package.name], "distributions": len(found)}
    row |= {"megabytes": installing.size(place) / 1e6, "install_s": seconds, "tensorflow": bool(heavy)}
    row["demo_s"] = None
    if package.name == repo.CORE:
        print(installing.follow(place, package.name, [], scratch / "pages-core" / "demo"), end="", flush=True)
    else:
        verb, out = demo_of(package), scratch / f"pages-{package.name}" / "demo"
        row["demo_s"] = installing.demo(place, package.name, verb, out)
        steps.hold(True, f"{package.name}: its demo runs ({row['demo_s']:.0f} s)")
        said = installing.follow(place, package.name, verb, out)
        print(said, end="", flush=True)
        steps.hold(True, f"{package.name}: {said.count(': $ ')} commands of its pages hold word for word")
        for tried, held, evidence in attacks.attempts(attacks.Target(place, package.name, verb[:-1], out)):
            steps.hold(held, f"{package.name}: {tried}", evidence)
    bill = installing.bill_of_materials(place, scratch / f"{package.name}.cdx.json")
    steps.hold(set(found) <= bill | {"pip"}, f"{package.name}: {len(bill)} components in its SBOM", found)
    steps.hold(
        True, f"{package.name}: {len(found)} distributions, {row['megabytes']:.0f} MB, {seconds:.0f} s"
    )
    return row


def needs(package: repo.Package, tree: Path) -> list[str]:
    """List what a package asks for without extras, the core's part included."""
    return repo.reachable(package, tree, extras=set())


def upgrade_core(
    index: loopback.Index, tree: Path, out: Path, scratch: Path, names: Sequence[str], steps: Steps
) -> None:
    """Publish a newer core and put it under a package that was installed before."""
    said = rehearsal.release(tree, repo.CORE, "minor", note="Nothing but a rehearsal.")
    version = repo.find(repo.CORE, tree).metadata["project"]["version"]
    steps.hold(f"{repo.CORE}-v{version} is made" in said, f"{repo.CORE}-v{version}: released", said)
    files, wrong = check_dist.checked(repo.find(repo.CORE, tree), out)
    status, more = publish.publish(files, check_url=rehearsal.readable(index), env=rehearsal.publisher(index))
    steps.hold(status == 0 and not wrong, f"{repo.CORE} {version}: published", more)
    older = next((name for name in names if name != repo.CORE), None)
    if older is None:
        return
    place = scratch / older
    package = repo.find(older, tree)
    before = installing.distributions(place)
    installing.install(
        place, index, repo.CORE, "--upgrade-package", repo.CORE, twins=repo.twins(package, tree, set())
    )
    after = installing.distributions(place)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    steps.hold(
        changed == {repo.CORE},
        f"{older}: {repo.CORE} {before[repo.CORE]} -> {version}, all else kept",
        changed,
    )
    seconds = installing.demo(place, older, demo_of(package), scratch / "upgraded" / "demo")
    steps.hold(True, f"{older} {after[older]}: its demo runs on {repo.CORE} {version} ({seconds:.0f} s)")
    status = core_compat.main([older, "--", "-q", "-x", "-k", "not integration", "--maxfail=1"], tree)
    steps.hold(status == 0, f"{older} {after[older]}: its own tests pass on {repo.CORE} {version}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="release_check", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("package", nargs="*", help="install these only; all are released")
    parser.add_argument("--table", type=Path, help="write the measured table to this page")
    options = parser.parse_args(arguments)
    names = [repo.find(name).name for name in options.package]
    results = repo.ROOT / "runs" / "release-check"
    results.mkdir(parents=True, exist_ok=True)
    steps = Steps()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        tree, out = rehearsal.copy_tree(scratch / "tree"), scratch / "dist"
        built = release_all(tree, out, steps)
        with loopback.serve(scratch) as index:
            publish_all(index, built, scratch, steps)
            rehearsal.impostor(index, built[repo.CORE], scratch, steps.hold)
            rows = install_all(index, names, tree, scratch, steps)
            upgrade_core(index, tree, out, scratch, [row["package"] for row in rows], steps)
        for bill in scratch.glob("*.cdx.json"):
            bill.replace(results / bill.name)
        for report in scratch.glob("pages-*/demo/report.html"):
            shutil.copyfile(report, results / f"{report.parts[-3].removeprefix('pages-')}.html")
    (results / "footprint.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    if options.table:
        options.table.write_text(installing.page(rows), "utf-8")
    took = (time.monotonic() - steps.started) / 60
    late = f"; it is meant to end within {AIM}" if took > AIM else ""
    steps.hold(True, f"the rehearsal took {took:.1f} minutes{late}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
