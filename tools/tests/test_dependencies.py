from __future__ import annotations

from pathlib import Path

import check_dependencies
import pytest

PROJECT = """
[project]
name = "{name}"
version = "0.1.0"
dependencies = {needs}
[project.optional-dependencies]
gpu = ["tensorflow[and-cuda]>=2.20"]
"""


@pytest.mark.parametrize(
    ("needs", "code", "fault"),
    [
        (["numpy>=2", "netcdf4>=1.7"], "import numpy, netCDF4\n", None),
        (["numpy>=2"], "import numpy, scipy\n", "'scipy' imported but missing"),
        (["numpy>=2", "scipy>=1"], "import numpy\n", "'scipy' defined as a dependency but not used"),
    ],
)
def test_imports_and_declarations_agree(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], needs: list[str], code: str, fault: str | None
) -> None:
    folder = tmp_path / "shared" / "esai-core"
    source = folder / "src" / "esai_core"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text(code)
    (folder / "pyproject.toml").write_text(PROJECT.format(name="esai-core", needs=needs))
    assert check_dependencies.main(tmp_path) == (1 if fault else 0)
    if fault:
        assert fault in capfd.readouterr().err
