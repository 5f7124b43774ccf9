"""A seeded toy Earth with known properties, for demos without a download and tests that know the truth."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "ToySeason": "season",
        "as_new_cds": "season",
        "correlated_fields": "fields",
        "relief": "fields",
        "station_network": "stations",
        "toy_season": "season",
    },
)
