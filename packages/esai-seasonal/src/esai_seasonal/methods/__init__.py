"""Classical methods: climatologies, mean and variance, quantile mapping, regression, EMOS."""

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "METHODS": "correction",
        "Correction": "correction",
        "Method": "correction",
        "correction": "correction",
        "emos": "emos",
        "linear": "linear",
        "quantile": "quantile",
    },
)
