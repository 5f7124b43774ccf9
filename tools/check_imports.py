"""Check the import contracts of ci/import_contracts.toml on the packages and rooms that exist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import repo

CONTRACTS = Path("ci") / "import_contracts.toml"
HOW = (
    "an import goes the wrong way (named above). A package imports esai_core and no other package: what two "
    "packages need belongs into the core. In the core a room imports from lower floors only; a new room "
    "gets its floor in ci/import_contracts.toml"
)


def exists(module: str, sources: dict[str, Path]) -> bool:
    """Whether a module of the tree has a file; modules from elsewhere always count as there."""
    top, *rest = module.split(".")
    if top not in sources:
        return True
    path = sources[top].joinpath(*rest)
    return path.is_dir() or path.with_suffix(".py").is_file()


def contracts(root: Path = repo.ROOT) -> dict[str, Any]:
    """Contracts for the tree as it stands: modules that do not exist yet left out, every package put in."""
    settings = tomllib.loads((root / CONTRACTS).read_text("utf-8"))["tool"]["importlinter"]
    found = repo.packages(root)
    sources = {package.module: package.folder / "src" / package.module for package in found}
    settings["root_packages"] = sorted(sources)
    for contract in settings["contracts"]:
        for key in ("source_modules", "modules"):
            if key in contract:
                contract[key] = [module for module in contract[key] if exists(module, sources)]
    settings["contracts"] = [
        contract for contract in settings["contracts"] if contract.get("source_modules") != []
    ]
    above = sorted(set(sources) - {"esai_core"})
    settings["contracts"].append(
        {
            "id": "house",
            "name": "Packages stand side by side on the core: none imports another, the core imports none",
            "type": "layers",
            "layers": [*([" | ".join(above)] if above else []), "esai_core"],
        }
    )
    settings["contracts"].append(
        {
            "id": "one-netcdf-packages",
            "name": "Packages open NetCDF through the core's engine",
            "type": "forbidden",
            "source_modules": above,
            "forbidden_modules": ["h5netcdf", "h5py"],
            "allow_indirect_imports": True,
        }
    )
    return dict(settings)


def as_toml(settings: dict[str, Any]) -> str:
    """Write settings whose values are texts, booleans and lists of texts (which JSON spells as TOML does)."""
    plain = {key: value for key, value in settings.items() if key != "contracts"}
    lines = ["[tool.importlinter]", *(f"{key} = {json.dumps(value)}" for key, value in plain.items())]
    for contract in settings["contracts"]:
        lines += ["", "[[tool.importlinter.contracts]]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in contract.items()]
    return "\n".join(lines) + "\n"


def main(root: Path = repo.ROOT) -> int:
    """Run import-linter; its exit status."""
    settings = contracts(root)
    folders = [str(package.folder / "src") for package in repo.packages(root)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "contracts.toml"
        config.write_text(as_toml(settings), "utf-8")
        program = Path(sys.executable).parent / "lint-imports"
        command = [str(program), "--no-cache", "--config", str(config)]
        status = subprocess.run(command, env=env, cwd=scratch).returncode
    if status:
        print(f"error: {HOW}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
