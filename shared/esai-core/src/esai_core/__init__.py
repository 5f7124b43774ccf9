"""Shared core of the esai tools. Importing it is light: every name below is loaded on first use."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Config": "config",
        "DataPath": "config",
        "EsaiError": "errors",
        "InputError": "errors",
        "Job": "job",
        "Request": "job",
        "Section": "config",
        "UsageError": "errors",
        "Verb": "job",
        "load_config": "config",
        "verify": "verify",
    },
)
