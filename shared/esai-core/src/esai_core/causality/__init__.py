"""Lagged causal discovery on series: which index drives which target, at which lag, given all others.

PCMCI (Runge et al., 2019, Science Advances) on conditional-independence tests of our own, with the false
discovery rate controlled over all links. What it finds is causal only if all common drivers are among the
series, and nothing acts faster than one step.
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Causes": "causes",
        "Links": "links",
        "TESTS": "independence",
        "kernel_independence": "independence",
        "partial_correlation": "independence",
        "pcmci": "discovery",
        "surrogate_rate": "surrogates",
    },
)
