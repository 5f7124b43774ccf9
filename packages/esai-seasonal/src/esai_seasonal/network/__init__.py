"""Networks: bias correction, super-resolution, and the chain of both."""

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "ChainNetwork": "chain",
        "CorrectionNetwork": "correction",
        "SuperResolution": "superresolution",
        "load_network": "choice",
        "trainer": "choice",
    },
)
