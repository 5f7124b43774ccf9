"""What a product must obey: coarse means that are kept, limits of a quantity, temperature over relief.

Everything here works on arrays and DataArrays; the same constraint inside a network is
`esai_core.nn.conservation`.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "MeanConstraint": "conservation",
        "conserve": "conservation",
        "fit_lapse_rate": "relief",
        "to_relief": "relief",
    },
)
