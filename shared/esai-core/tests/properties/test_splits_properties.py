from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from esai_core import splits
from esai_core.errors import UsageError

LABELS = arrays(np.int64, st.integers(8, 60), elements=st.integers(0, 9))


def _makers(labels: np.ndarray) -> dict[str, list[splits.Fold]]:
    groups = len(np.unique(labels))
    return {
        "leave one out": splits.leave_one_out(labels),
        "k fold": splits.k_fold(labels, k=min(3, groups), seed=2),
        "expanding": splits.expanding_window(labels, min_train=1),
    }


@given(labels=LABELS, seed=st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_folds_are_disjoint_whole_deterministic_and_blind_to_order(labels: np.ndarray, seed: int) -> None:
    if len(np.unique(labels)) < 2:
        with pytest.raises(UsageError):
            _makers(labels)
        return
    order = np.random.default_rng(seed).permutation(len(labels))
    once, again, shuffled = _makers(labels), _makers(labels), _makers(labels[order])
    for name, folds in once.items():
        tested = np.concatenate([fold.test for fold in folds])
        expected = np.arange(len(labels))
        if name == "expanding":
            expected = np.flatnonzero(labels > labels.min())
        assert sorted(tested) == sorted(expected)
        for fold, same, other in zip(folds, again[name], shuffled[name], strict=True):
            assert not set(fold.train) & set(fold.test)
            assert set(labels[fold.train]).isdisjoint(labels[fold.test])
            if name == "expanding":
                assert labels[fold.train].max() < labels[fold.test].min()
            np.testing.assert_array_equal(fold.train, same.train)
            assert sorted(order[other.train]) == fold.train.tolist()
            assert sorted(order[other.test]) == fold.test.tolist()


@given(
    years=arrays(np.int64, 40, elements=st.integers(1980, 2010)),
    cuts=st.lists(st.integers(1980, 2010), min_size=3, max_size=3, unique=True).map(sorted),
)
@settings(max_examples=60, deadline=None)
def test_by_year_parts_hold_their_years_or_are_refused(years: np.ndarray, cuts: list[int]) -> None:
    ranges = {"train": (1980, cuts[0]), "validate": (cuts[0] + 1, cuts[1]), "test": (cuts[1] + 1, cuts[2])}
    there = {name: set(years) & set(range(a, b + 1)) for name, (a, b) in ranges.items()}
    if not all(there.values()):
        with pytest.raises(UsageError, match="no sample in the"):
            splits.by_year(years, **ranges)
        return
    split = splits.by_year(years, **ranges)
    for name, expected in there.items():
        assert set(years[getattr(split, name)]) == expected
    assert len(split.train) + len(split.validate) + len(split.test) == int((years <= cuts[2]).sum())
