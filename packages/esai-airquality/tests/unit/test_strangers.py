"""Model files from strangers: refused with one line, and nothing in them is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from esai_airquality.mos.store import load_state
from esai_core.errors import InputError
from esai_core.testing import attack_files

KINDS = ("a pickle", "pickled arrays", "another's", "no archive")


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_state_runs_nothing(tmp_path: Path, kind: str) -> None:
    proof = tmp_path / "code-was-run"
    path = tmp_path / "state.npz"
    path.write_bytes(attack_files(proof, "facts", "days", "observed")[kind])
    with pytest.raises(InputError, match=r"state\.npz"):
        load_state(path)
    assert not proof.exists()
