from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from esai_core import toml

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
leaf = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | text
    | st.dates()
    | st.datetimes()
)
value = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(text, value, max_size=5))
def test_what_is_written_reads_back(data: dict) -> None:
    assert tomllib.loads(toml.dumps(data)) == data


@given(text)
def test_a_comment_never_becomes_content(comment: str) -> None:
    assert tomllib.loads(toml.dumps({"a": 1}, describe={"a": comment})) == {"a": 1}
