"""Model files from strangers: refused with one line, and nothing in them is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esai_core.errors import InputError
from esai_core.testing import attack_files
from esai_core.training.files import write_checkpoint
from esai_seasonal.methods.correction import Correction
from esai_seasonal.network.correction import CorrectionNetwork
from esai_seasonal.network.superresolution import SuperResolution

KINDS = ("a pickle", "pickled arrays", "another's", "no archive")


LOADERS: dict[str, Callable[[Path], Any]] = {
    "method": lambda folder: Correction.load(folder / "network.npz"),
    "network": CorrectionNetwork.load,
    "super-resolution": SuperResolution.load,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS.keys())
def test_a_planted_model_runs_nothing(tmp_path: Path, kind: str, load: Callable[[Path], Any]) -> None:
    proof = tmp_path / "code-was-run"
    (tmp_path / "network.npz").write_bytes(attack_files(proof, "format", "__meta__", "parameters")[kind])
    with pytest.raises(InputError, match=r"network\.npz"):
        load(tmp_path)
    assert not proof.exists()


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS.keys())
def test_a_network_of_another_package_is_refused(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    write_checkpoint(tmp_path / "network.npz", {"weights/0": np.zeros(3)}, {"network": "another"})
    with pytest.raises(InputError, match=r"network\.npz"):
        load(tmp_path)
