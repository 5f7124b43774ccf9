from __future__ import annotations

import shutil
from pathlib import Path

import check_imports
import pytest
import repo


def write(root: Path, module: str, text: str) -> None:
    name, *rest = module.split(".")
    place = "shared" if name == "esai_core" else "packages"
    source = root / place / name.replace("_", "-") / "src" / name
    for folder in [source, *(source.joinpath(*rest[:depth]) for depth in range(1, len(rest)))]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    (source.joinpath(*rest).with_suffix(".py") if rest else source / "__init__.py").write_text(text)


@pytest.fixture
def house(small: Path) -> Path:
    """Put a little code that keeps the contracts into the made-up tree."""
    (small / "ci").mkdir()
    shutil.copy(repo.ROOT / check_imports.CONTRACTS, small / check_imports.CONTRACTS)
    write(small, "esai_core._lazy", "")
    write(small, "esai_core.errors", "")
    write(small, "esai_core.io.netcdf", "import esai_core.errors\nimport netCDF4\n")
    write(small, "esai_one.job", "from esai_core.io import netcdf\n")
    write(small, "esai_two.job", "from esai_core import errors\n")
    return small


def test_every_package_and_room_is_covered() -> None:
    settings = check_imports.contracts()
    assert settings["root_packages"] == sorted(package.module for package in repo.packages())
    layers = next(contract["layers"] for contract in settings["contracts"] if contract["id"] == "house")
    assert layers[-1] == "esai_core"
    assert set(layers[0].split(" | ")) == {p.module for p in repo.packages() if p.name != repo.CORE}
    for package in repo.packages():
        assert check_imports.exists(package.module, {package.module: package.folder / "src" / package.module})


def test_a_tree_that_keeps_the_contracts_passes(house: Path) -> None:
    assert check_imports.main(house) == 0


@pytest.mark.parametrize(
    ("module", "text", "named"),
    [
        ("esai_one.sideways", "import esai_two.job\n", "esai_one.sideways -> esai_two.job"),
        ("esai_core.errors", "from esai_one import job\n", "esai_core.errors -> esai_one.job"),
        ("esai_core.errors", "from esai_core.io import netcdf\n", "esai_core.errors -> esai_core.io.netcdf"),
        ("esai_core.errors", "def f():\n    import xarray\n", "esai_core.errors -> xarray"),
        ("esai_core.attic", "", "esai_core.attic"),
        ("esai_two.read", "import h5netcdf\n", "esai_two.read -> h5netcdf"),
    ],
)
def test_each_planted_import_is_found(
    house: Path, capfd: pytest.CaptureFixture[str], module: str, text: str, named: str
) -> None:
    write(house, module, text)
    assert check_imports.main(house) != 0
    assert named in capfd.readouterr().out
