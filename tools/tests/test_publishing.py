"""What is published: its contents, the index of plain files, the index with accounts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import repo

sys.path.insert(0, str(repo.ROOT / "ci"))
import check_dist
import installing
import loopback
import publish
import rehearsal
import static_index


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[repo.Package, list[Path]]:
    """Build the distributions of the template, as small a package as there is."""
    folder = tmp_path_factory.mktemp("sources") / "packages" / "esai-template"
    shutil.copytree(repo.ROOT / "tools" / "template", folder)
    package = repo.Package(folder, tomllib.loads((folder / "pyproject.toml").read_text()))
    return package, check_dist.build(folder, tmp_path_factory.mktemp("dist"))


def planted(wheel: Path, target: Path, name: str, content: bytes = b"x") -> Path:
    """Copy a wheel with one more file in it."""
    copy = target / wheel.name
    shutil.copyfile(wheel, copy)
    with zipfile.ZipFile(copy, "a") as archive:
        archive.writestr(name, content)
    return copy


def test_a_package_as_it_is_passes(built: tuple[repo.Package, list[Path]]) -> None:
    package, files = built
    assert {path.suffix for path in files} == {".whl", ".gz"}
    for path in files:
        assert list(check_dist.misplaced(path, package)) == []
        assert list(check_dist.wrong_metadata(path, package)) == []
    assert check_dist.unrendered(files) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("esai_template/tests/test_x.py", b"", "is a test"),
        ("tests/conftest.py", b"", "is a test"),
        ("esai_template/stations.nc", b"x", "is data"),
        ("esai_template/table.csv", b"x", "is data"),
        ("esai_template/model.pkl", b"x", "is no kind of file"),
        ("esai_fire/__init__.py", b"", "lies outside esai_template"),
        ("../esai_template/x.py", b"", "leads out of the archive"),
        ("esai_template/x.py", b"path = '/home/someone/data'\n", "path of one machine"),  # check: path
    ],
)
def test_what_does_not_belong_is_named(
    built: tuple[repo.Package, list[Path]], tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    package, files = built
    wheel = next(path for path in files if path.suffix == ".whl")
    found = list(check_dist.misplaced(planted(wheel, tmp_path, name, content), package))
    assert len(found) == 1
    assert said in found[0]
    assert name in found[0]


def test_other_metadata_is_named(built: tuple[repo.Package, list[Path]]) -> None:
    package, files = built
    project = {**package.metadata["project"], "requires-python": ">=3.12"}
    other = repo.Package(package.folder, {"project": project})
    assert [line for path in files for line in check_dist.wrong_metadata(path, other)] == [
        f"{path.name}: Requires-Python is '>=3.11', not '>=3.12'" for path in files
    ]


def test_the_core_builds_the_same_from_a_copy_and_from_its_sdist(tmp_path: Path) -> None:
    package = repo.find(repo.CORE)
    files = check_dist.build(package.folder, tmp_path)
    assert list(check_dist.irreproducible(files, package)) == []
    files[0].write_bytes(files[0].read_bytes() + b"\0")
    assert "has another digest" in next(check_dist.irreproducible(files, package))


def test_an_index_of_plain_files_installs(built: tuple[repo.Package, list[Path]], tmp_path: Path) -> None:
    _, files = built
    assert static_index.write(files, tmp_path / "share") == ["esai-template"]
    assert static_index.write([files[0].parent], tmp_path / "share") == ["esai-template"]
    place = installing.fresh(tmp_path / "environment")
    index = (tmp_path / "share" / "simple").as_uri()
    command = [
        publish.uv(),
        "pip",
        "install",
        "--no-deps",
        "--no-cache",
        "--python",
        installing.python(place),
    ]
    done = installing.run([*command, "--default-index", index, "esai-template"])
    assert done.returncode == 0, done.stderr
    assert installing.distributions(place) == {"esai-template": "0.1.0"}
    broken = tmp_path / "share" / "files" / next(path.name for path in files if path.suffix == ".whl")
    broken.write_bytes(broken.read_bytes()[:-1])
    again = installing.run([*command, "--reinstall", "--default-index", index, "esai-template"])
    assert again.returncode != 0


def test_a_released_file_is_never_replaced(built: tuple[repo.Package, list[Path]], tmp_path: Path) -> None:
    _, files = built
    static_index.write(files, tmp_path / "share")
    other = tmp_path / files[0].name
    other.write_bytes(b"other")
    with pytest.raises(SystemExit, match="a released file is never replaced"):
        static_index.write([other], tmp_path / "share")
    assert (tmp_path / "share" / "files" / other.name).read_bytes() == files[0].read_bytes()


def test_a_publication_can_be_repeated_and_not_changed(
    built: tuple[repo.Package, list[Path]], tmp_path: Path
) -> None:
    _, files = built
    with loopback.serve(tmp_path) as index:
        status, said = publish.publish(files, env=rehearsal.publisher(index, token="wrong"))
        assert status != 0
        assert said.endswith("error: the index refuses the token: check UV_PUBLISH_TOKEN")
        assert index.files == set()
        env, check = rehearsal.publisher(index), rehearsal.readable(index)
        for _ in range(2):
            status, said = publish.publish(files, env=env, check_url=check)
            assert status == 0, said
        assert index.files == {path.name for path in files}
        other = tmp_path / files[0].name
        other.write_bytes(files[0].read_bytes() + b"\0")
        for url in (check, None):
            status, said = publish.publish([other], env=env, check_url=url)
            assert status != 0
            assert "otherwise the version is taken: release the next one" in said
        assert (index.folder / other.name).read_bytes() == files[0].read_bytes()


def test_publishing_to_nowhere_is_one_line(built: tuple[repo.Package, list[Path]]) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("UV_PUBLISH")}
    command = [sys.executable, str(repo.ROOT / "ci" / "publish.py"), str(built[1][0])]
    done = subprocess.run(command, env=env, text=True, capture_output=True)
    assert (done.returncode, done.stdout.count("\n")) == (2, 1)
    assert "UV_PUBLISH_URL is not set" in done.stdout


def test_lookups_are_read_from_the_installers_log() -> None:
    log = "DEBUG No cache entry for: http://team:****@127.0.0.1:1/simple/esai-core/\n"
    log += "DEBUG Found fresh response for: https://index.example.org/simple/numpy/\n"
    assert installing.lookups(log) == {
        "http://127.0.0.1:1/simple/esai-core/",
        "https://index.example.org/simple/numpy/",
    }


def test_every_package_ships_the_licence() -> None:
    for package in repo.packages():
        assert (package.folder / "LICENSE").read_bytes() == (repo.ROOT / "LICENSE").read_bytes()
