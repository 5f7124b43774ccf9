from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail: what is drawn and asserted counts, not how fast.
settings.register_profile("esai", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("esai")

TOY = Path(__file__).parent / "toy"
sys.path.append(str(TOY))


@pytest.fixture
def toy_env() -> dict[str, str]:
    """Environment in which another process finds the toy package."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(TOY), os.environ.get("PYTHONPATH"))))}


@pytest.fixture
def toy_config(tmp_path: Path) -> Path:
    """A config of the toy package with its data."""
    from esai_toy.pipeline import prepare

    folder = tmp_path / "given"
    folder.mkdir()
    return prepare(folder)
