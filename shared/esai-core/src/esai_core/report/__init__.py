"""Reports: one HTML file that opens offline, and the plots that go into it."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Report": "builder",
        "add_causes": "trust",
        "add_drivers": "trust",
        "add_intervals": "trust",
        "key_message": "scores",
        "plots": "plots",
        "score_rows": "scores",
    },
)
