"""Model files from strangers: refused with one line, and nothing in them is run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esai_core.errors import InputError
from esai_core.testing import attack_files
from esai_s2s.store import load

KINDS = ("a pickle", "pickled arrays", "another's", "no archive")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("planted", ["edges_observed.npz", "logistic.npz"])
def test_a_planted_fit_runs_nothing(tmp_path: Path, kind: str, planted: str) -> None:
    proof = tmp_path / "code-was-run"
    about = {"methods": ["logistic"], "weights": {}, "inner_rps": {}}
    (tmp_path / "ensemble.json").write_text(json.dumps(about))
    (tmp_path / "edges.json").write_text('{"models": 0}')
    (tmp_path / planted).write_bytes(attack_files(proof, "json", "coefficients")[kind])
    with pytest.raises(InputError):
        load(tmp_path)
    assert not proof.exists()


@pytest.mark.parametrize("method", ["../outside", "/etc/outside", "nothing"])
def test_a_method_that_leads_elsewhere_is_refused(tmp_path: Path, method: str) -> None:
    about = {"methods": [method], "weights": {}, "inner_rps": {}}
    (tmp_path / "ensemble.json").write_text(json.dumps(about))
    (tmp_path / "edges.json").write_text('{"models": 0}')
    with pytest.raises(InputError):
        load(tmp_path)
