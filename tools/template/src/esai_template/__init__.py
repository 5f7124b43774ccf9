"""A package made from the template."""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "TemplateConfig": "config",
        "fit_trend": "pipeline",
        "forecast": "pipeline",
    },
)
