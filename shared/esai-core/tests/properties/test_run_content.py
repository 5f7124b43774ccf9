from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from esai_core.runs import check_metrics, digest_file, read_history
from esai_core.runs.history import add_row

names = st.text("abcdefgh_", min_size=1, max_size=8)
finite = st.floats(allow_nan=False, allow_infinity=False)
table = st.dictionaries(names, st.dictionaries(names, finite | st.none(), max_size=4), min_size=1, max_size=4)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@given(table, st.data())
def test_checked_metrics_are_json_and_stay_as_they_are(scores: dict, data: st.DataObject) -> None:
    delivered = data.draw(st.sampled_from(sorted(scores)))
    given_scores = {
        m: {s: None if v is None else np.float64(v) for s, v in row.items()} for m, row in scores.items()
    }
    made = check_metrics({"split": {}, "delivered": delivered, "scores": given_scores})
    assert made["scores"] == scores
    assert json.loads(json.dumps(made, allow_nan=False)) == made == check_metrics(made)


@given(st.dictionaries(names, plain, max_size=5), st.data())
def test_the_order_and_layout_of_json_do_not_count(content: dict, data: st.DataObject) -> None:
    order = data.draw(st.permutations(sorted(content)))
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder, "a.json"), Path(folder, "b.json")
        one.write_text(json.dumps(content))
        other.write_text(json.dumps({key: content[key] for key in order}, indent=3))
        assert digest_file(one) == digest_file(other)


@given(st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_history_reads_back_to_the_bit(rows: list[list[float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "history.csv")
        for row in rows:
            add_row(path, dict(zip(("epoch", "loss", "val_loss"), row, strict=True)))
        assert [list(row.values()) for row in read_history(path)] == rows
