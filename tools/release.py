"""Release one package: its version, its changelog from the fragments, a commit and a tag.

    python3 tools/dev.py release esai-fire minor             0.1.3 -> 0.2.0, tag esai-fire-v0.2.0
    python3 tools/dev.py release esai-fire 0.1.0             a version by name (a package's first release)
    python3 tools/dev.py release esai-fire patch --dry-run   what would be done, and what stands against it

Nothing is published here: pushing the tag has CI build, check and publish (docs/how-to/release.md).
Everything that stands against the release is said at once, each with what to do, and then nothing is changed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

sys.path.insert(0, str(Path(__file__).parent))
import fragments
import repo

STEPS = ("major", "minor", "patch")
CONFIG = Path("ci") / "towncrier.toml"
MARKER = "<!-- towncrier release notes start -->"
VERSION_LINE = re.compile(r'^version = "([^"]+)"$', re.M)


@dataclass(frozen=True)
class Plan:
    """A release that has been asked for."""

    package: repo.Package
    version: Version
    previous: str | None  # tag of the last release

    @property
    def tag(self) -> str:
        """Tag of the release, ``esai-fire-v0.2.0``."""
        return f"{self.package.name}-v{self.version}"


def git(root: Path, *arguments: str) -> str:
    """Run git in `root` and give what it prints; SystemExit with its own words where it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"git {arguments[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def released(package: str, root: Path) -> list[Version]:
    """Versions of a package that were tagged, oldest first; only those that HEAD comes after."""
    tags = git(root, "tag", "--list", f"{package}-v*", "--merged", "HEAD").split()
    found = []
    for tag in tags:
        try:
            found.append(Version(tag.removeprefix(f"{package}-v")))
        except InvalidVersion:
            continue
    return sorted(found)


def next_version(current: Version, step: str) -> Version:
    """Count a version up, or read it where `step` is one; SystemExit where it is neither."""
    major, minor, patch = current.release
    if step in STEPS:
        parts = {
            "major": (major + 1, 0, 0),
            "minor": (major, minor + 1, 0),
            "patch": (major, minor, patch + 1),
        }[step]
        return Version(".".join(map(str, parts)))
    if not re.fullmatch(r"\d+\.\d+\.\d+", step):
        raise SystemExit(f"{step!r} is no version; give major, minor, patch or three numbers, 0.2.0")
    return Version(step)


def kind(previous: Version, version: Version) -> str:
    """Which of the three numbers a release counts up."""
    changed = [new != old for new, old in zip(version.release, previous.release, strict=True)]
    return STEPS[changed.index(True)] if any(changed) else "patch"


def plan(name: str, step: str, root: Path = repo.ROOT) -> Plan:
    """Work out the version that is asked for; nothing is checked yet."""
    package = repo.find(name, root)
    done = released(name, root)
    current = Version(package.metadata["project"]["version"])
    return Plan(package, next_version(current, step), f"{name}-v{done[-1]}" if done else None)


def api_breaks(package: repo.Package, tag: str, root: Path) -> list[str]:
    """List what the public API of the tree breaks since a tag, one line each (by griffe, without imports)."""
    import griffe

    source = (package.folder / "src").relative_to(root)
    old = griffe.load_git(package.module, ref=tag, repo=root, search_paths=[str(source)])
    new = griffe.load(package.module, search_paths=[str(root / source)])
    style = griffe.ExplanationStyle.ONE_LINE
    explained = [breakage.explain(style=style) for breakage in griffe.find_breaking_changes(old, new)]
    return [re.sub(r"^.*?(?=packages/|shared/|src/)", "", line).strip() for line in explained]


def against_api(wanted: Plan, root: Path) -> list[str]:
    """Say what of the public API the release would break without its version telling so."""
    if wanted.previous is None:
        return []
    before = Version(wanted.previous.rpartition("-v")[2])
    step = kind(before, wanted.version)
    if step == "major" or (step == "minor" and before.major == 0):
        return []
    breaks = api_breaks(wanted.package, wanted.previous, root)
    if not breaks:
        return []
    right = "minor" if before.major == 0 else "major"
    listed = "".join(f"\n    {line}" for line in breaks)
    return [
        f"{wanted.package.name} {wanted.version} is a {step} release, but its public API is not that of "
        f"{before}:{listed}\n  Keep the old names working (an alias that warns), or release a {right} "
        f"version: `python3 tools/dev.py release {wanted.package.name} {right}`"
    ]


def against_core(wanted: Plan, root: Path) -> list[str]:
    """Say which requirement on the core the release would not fit, from either side."""
    name = wanted.package.name
    if name == repo.CORE:
        refusing = [
            (other.name, line)
            for other in repo.packages(root)
            for line in other.requirements
            if repo.requirement_name(line) == repo.CORE
            and not Requirement(line).specifier.contains(wanted.version)
        ]
        return [
            f"{other} refuses {repo.CORE} {wanted.version}: it asks for {line!r}. Widen that in "
            f"packages/{other}/pyproject.toml once its tests pass with this core"
            for other, line in refusing
        ]
    cores = released(repo.CORE, root)
    lines = [line for line in wanted.package.requirements if repo.requirement_name(line) == repo.CORE]
    return [
        f"no released {repo.CORE} satisfies {line!r} of {name} (released: "
        f"{', '.join(map(str, cores)) or 'none'}). Release the core first: "
        f"`python3 tools/dev.py release {repo.CORE} minor`"
        for line in lines
        if not any(Requirement(line).specifier.contains(core) for core in cores)
    ]


def against(wanted: Plan, root: Path = repo.ROOT) -> list[str]:
    """Everything that stands against a release, each with what to do."""
    name, folder = wanted.package.name, wanted.package.folder
    found = []
    dirty = git(root, "status", "--porcelain").splitlines()
    if dirty:
        named = ", ".join(line[3:] for line in dirty[:3]) + (", ..." if len(dirty) > 3 else "")
        found.append(f"the tree has changes that are in no commit ({named}). Commit or remove them first")
    if git(root, "tag", "--list", wanted.tag).strip():
        found.append(f"{wanted.tag} exists. A released version is never made again: count up")
    elif wanted.previous and wanted.version <= Version(wanted.previous.rpartition("-v")[2]):
        found.append(f"{wanted.version} does not come after {wanted.previous}. Count up from there")
    present, wrong = fragments.read(folder)
    found += [f"{path.relative_to(root)}: {text}" for path, text in wrong]
    if not present:
        found.append(
            f"{name} has no fragment in {folder.relative_to(root)}/changes, so its changelog would say "
            f"nothing. {fragments.HOW}"
        )
    step = kind(Version(wanted.previous.rpartition("-v")[2]), wanted.version) if wanted.previous else "major"
    removals = [path.name for path in present if ".removal" in path.name]
    if step == "patch" and removals:
        found.append(
            f"{name} {wanted.version} is a patch release, but {removals[0]} announces something "
            "incompatible. Release a minor (or from 1.0 on a major) version"
        )
    if MARKER not in (folder / "CHANGELOG.md").read_text("utf-8"):
        found.append(
            f"{folder.relative_to(root)}/CHANGELOG.md has no line `{MARKER}`. Put it where releases go"
        )
    return [*found, *against_core(wanted, root), *against_api(wanted, root)]


def carry_out(wanted: Plan, root: Path = repo.ROOT, *, day: date | None = None) -> None:
    """Write the version and the changelog, commit and tag; where a step fails the tree is as it was."""
    folder = wanted.package.folder
    place = str(folder.relative_to(root))
    project = folder / "pyproject.toml"
    text, count = VERSION_LINE.subn(f'version = "{wanted.version}"', project.read_text("utf-8"), count=1)
    if count != 1:
        raise SystemExit(f'{place}/pyproject.toml has no line `version = "..."`')
    command = [sys.executable, "-m", "towncrier", "build", "--yes", "--config", str(root / CONFIG)]
    command += ["--dir", str(folder), "--name", wanted.package.name, "--version", str(wanted.version)]
    command += ["--date", (day or date.today()).isoformat()]
    try:
        project.write_text(text, "utf-8")
        done = subprocess.run(command, cwd=root, text=True, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(f"towncrier failed: {done.stdout}{done.stderr}")
        git(root, "add", "--all", "--", place)
        git(root, "commit", "--quiet", "--message", f"Release {wanted.package.name} {wanted.version}")
    except BaseException:
        git(root, "restore", "--staged", "--worktree", "--", place)
        raise
    git(root, "tag", "--annotate", wanted.tag, "--message", f"{wanted.package.name} {wanted.version}")


def against_tag(tag: str, root: Path = repo.ROOT) -> list[str]:
    """Everything that stands against a tagged release, however the tag was made."""
    name, _, text = tag.rpartition("-v")
    package = repo.find(name, root)
    version = next_version(Version("0.0.0"), text)
    before = [one for one in released(name, root) if one < version]
    wanted = Plan(package, version, f"{name}-v{before[-1]}" if before else None)
    how = f"Remove the tag and use `python3 tools/dev.py release {name} ...`"
    found = []
    if package.metadata["project"]["version"] != str(version):
        found.append(f"{tag}: the pyproject.toml says {package.metadata['project']['version']}. {how}")
    if not re.search(
        rf"^## {re.escape(text)} \(", (package.folder / "CHANGELOG.md").read_text("utf-8"), re.M
    ):
        found.append(f"{tag}: CHANGELOG.md has no section {text}, as no fragment was there. {how}")
    return [*found, *against_core(wanted, root), *against_api(wanted, root)]


def main(arguments: Sequence[str] | None = None, root: Path = repo.ROOT) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="release", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("package", nargs="?", help="esai-core, esai-fire, ...")
    parser.add_argument("version", nargs="?", help="major, minor, patch, or three numbers")
    parser.add_argument("--check-tag", metavar="TAG", help="check a release that was made, as CI does")
    parser.add_argument("--dry-run", action="store_true", help="check and say, change nothing")
    options = parser.parse_args(arguments)
    if options.check_tag:
        wrong = against_tag(options.check_tag, root)
        for line in wrong:
            print(f"error: {line}", file=sys.stderr)
        print(f"{options.check_tag}: {'refused' if wrong else 'is a release'}")
        return 1 if wrong else 0
    if not options.package or not options.version:
        parser.error("which package, and which version? release esai-fire minor")
    wanted = plan(options.package, options.version, root)
    wrong = against(wanted, root)
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    if wrong:
        print(f"{wanted.tag} was not made", file=sys.stderr)
        return 1
    since = f"the last is {wanted.previous}" if wanted.previous else "the first of this package"
    if options.dry_run:
        print(f"{wanted.tag} can be made ({since})")
        return 0
    carry_out(wanted, root)
    print(f"{wanted.tag} is made ({since}); `git push --follow-tags` has CI publish it")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
