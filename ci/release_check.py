"""Rehearse a release of every package against an index on this machine, and install each one from it alone.

    python3 tools/dev.py release-check                      everything, about a quarter of an hour
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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "tools")]
import attacks
import check_dist
import core_compat
import installing
import loopback
import publish
import rehearsal
import repo

T = TypeVar("T")
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


def together(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make calls two at a time, in their order; the fault of one does not hide another's."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        made = [pool.submit(call) for call in calls]
    failed = [str(one.exception()) for one in made if one.exception() is not None]
    if failed:
        raise SystemExit("\n\n".join(failed))
    return [one.result() for one in made]


def install(
    index: loopback.Index, package: repo.Package, tree: Path, scratch: Path, steps: Steps
) -> dict[str, Any]:
    """Install a package alone into a fresh environment; the figures of what came."""
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
    row: dict[str, Any] = {"package": package.name, "version": found[package.name]}
    row |= {"distributions": len(found), "megabytes": installing.size(place) / 1e6, "install_s": seconds}
    bill = installing.bill_of_materials(place, scratch / f"{package.name}.cdx.json")
    steps.hold(set(found) <= bill | {"pip"}, f"{package.name}: {len(bill)} components in its SBOM", found)
    steps.hold(
        True, f"{package.name}: {len(found)} distributions, {row['megabytes']:.0f} MB, {seconds:.0f} s"
    )
    return row | {"tensorflow": bool(heavy), "demo_s": None}


def use(package: repo.Package, row: dict[str, Any], scratch: Path, steps: Steps) -> None:
    """Run the demo of a package (its time goes to `row`), follow its pages, attack its run folder."""
    place, out = scratch / package.name, scratch / f"pages-{package.name}" / "demo"
    if package.name == repo.CORE:
        print(installing.follow(place, package.name, [], out), end="", flush=True)
        return
    verb = demo_of(package)
    row["demo_s"] = installing.demo(place, package.name, verb, out)
    steps.hold(True, f"{package.name}: its demo runs ({row['demo_s']:.0f} s)")
    said = installing.follow(place, package.name, verb, out)
    print(said, end="", flush=True)
    steps.hold(True, f"{package.name}: {said.count(': $ ')} commands of its pages hold word for word")
    for tried, held, evidence in attacks.attempts(attacks.Target(place, package.name, verb[:-1], out)):
        steps.hold(held, f"{package.name}: {tried}", evidence)


def needs(package: repo.Package, tree: Path) -> list[str]:
    """List what a package asks for without extras, the core's part included."""
    return repo.reachable(package, tree, extras=set())


def publish_newer_core(index: loopback.Index, tree: Path, out: Path, steps: Steps) -> None:
    """Release and publish a newer core."""
    said = rehearsal.release(tree, repo.CORE, "minor", note="Nothing but a rehearsal.")
    version = repo.find(repo.CORE, tree).metadata["project"]["version"]
    steps.hold(f"{repo.CORE}-v{version} is made" in said, f"{repo.CORE}-v{version}: released", said)
    files, wrong = check_dist.checked(repo.find(repo.CORE, tree), out)
    status, more = publish.publish(files, check_url=rehearsal.readable(index), env=rehearsal.publisher(index))
    steps.hold(status == 0 and not wrong, f"{repo.CORE} {version}: published", more)


def upgrade(index: loopback.Index, package: repo.Package, tree: Path, place: Path, steps: Steps) -> None:
    """Put the newer core under a package that was installed before it was published."""
    name, before = package.name, installing.distributions(place)
    twins = repo.twins(package, tree, set())
    installing.install(place, index, repo.CORE, "--upgrade-package", repo.CORE, twins=twins)
    after = installing.distributions(place)
    changed = {one for one in {*before, *after} if before.get(one) != after.get(one)}
    step = f"{repo.CORE} {before[repo.CORE]} -> {after[repo.CORE]}"
    steps.hold(changed == {repo.CORE}, f"{name}: {step}, all else kept", changed)
    version = f"{name} {after[name]}"
    seconds = installing.demo(place, name, demo_of(package), place / "upgraded" / "demo")
    steps.hold(True, f"{version}: its demo runs on {repo.CORE} {after[repo.CORE]} ({seconds:.0f} s)")
    status = core_compat.main([name, "--", "-q", "-x", "-k", "not integration", "--maxfail=1"], tree)
    steps.hold(status == 0, f"{version}: its own tests pass on {repo.CORE} {after[repo.CORE]}")


def rehearse(
    index: loopback.Index, chosen: Sequence[repo.Package], tree: Path, scratch: Path, steps: Steps
) -> list[dict[str, Any]]:
    """Install the packages, publish a newer core, and use what is installed; what was measured.

    All are installed first, once more the one that is upgraded, so that the long part, in which they are
    used, can be shared by two cores to its end: the largest begin.
    """
    rows = together([partial(install, index, package, tree, scratch, steps) for package in chosen])
    order = sorted(zip(rows, chosen, strict=True), key=lambda pair: -pair[0]["megabytes"])
    work = [partial(use, package, row, scratch, steps) for row, package in order]
    older = next((package for package in chosen if package.name != repo.CORE), None)
    if older is not None:
        place = installing.fresh(scratch / "older")
        installing.install(place, index, older.name, twins=repo.twins(older, tree, set()))
        work.insert(2, partial(upgrade, index, older, tree, place, steps))
    publish_newer_core(index, tree, scratch / "dist", steps)
    together(work)
    return rows


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
            chosen = [package for package in repo.packages(tree) if not names or package.name in names]
            rows = rehearse(index, chosen, tree, scratch, steps)
        for bill in scratch.glob("*.cdx.json"):
            bill.replace(results / bill.name)
        for report in scratch.glob("pages-*/demo/report.html"):
            shutil.copyfile(report, results / f"{report.parts[-3].removeprefix('pages-')}.html")
    (results / "footprint.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    took = (time.monotonic() - steps.started) / 60
    if options.table:
        options.table.write_text(installing.page(rows, took), "utf-8")
    late = f"; it is meant to end within {AIM}" if took > AIM else ""
    steps.hold(True, f"the rehearsal took {took:.1f} minutes{late}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
