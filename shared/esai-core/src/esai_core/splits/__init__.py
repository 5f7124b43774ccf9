"""Splits of samples into training, validation and test parts that share no truth.

Every function works on labels or coordinates of the samples, never on their order: shuffled samples give the
same parts, shuffled alike. Parts are sorted integer positions, made once, disjoint and never empty.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Fold": "folds",
        "Split": "folds",
        "assert_no_leak": "leaks",
        "block_labels": "space",
        "by_year": "times",
        "drop_overlap": "leaks",
        "expanding_window": "groups",
        "hold_out": "groups",
        "k_fold": "groups",
        "leave_one_out": "groups",
        "leave_one_year_out": "times",
        "season_blocks": "times",
        "spatial_blocks": "space",
        "with_inner": "folds",
        "year_blocks": "times",
        "years_of": "times",
    },
)
