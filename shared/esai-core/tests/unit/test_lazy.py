from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import esai_core
import esai_core.report
import esai_core.report.plots
import esai_core.runs
from esai_core.testing import HEAVY


@pytest.mark.parametrize("package", [esai_core, esai_core.runs, esai_core.report, esai_core.report.plots])
def test_every_public_name_resolves_whatever_was_imported_before(package: ModuleType) -> None:
    submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    if package is not esai_core:
        for name in submodules:
            importlib.import_module(f"{package.__name__}.{name}")
    for name in package.__all__:
        assert isinstance(getattr(package, name), ModuleType) == (name in submodules), name
        assert name in dir(package)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_importing_the_core_and_its_ground_floor_is_light() -> None:
    modules = [
        "errors",
        "cli",
        "job",
        "logs",
        "progress",
        "config",
        "runs",
        "report",
        "testing",
        "fetch",
        "verbs",
    ]
    code = "; ".join([f"import esai_core.{name}" for name in modules] + ["import sys; print(*sys.modules)"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.partition(".")[0] for name in done.stdout.split()} & HEAVY
