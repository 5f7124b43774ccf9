"""Bias correction and downscaling of seasonal forecasts: small networks beside the classical methods.

The steps of a run, each a function that a notebook can call::

    from esai_seasonal import check, fit, open_data, predict, split, verify, write

    data = check(open_data(config), config)
    parts = split(data, config)
    fitted = fit(data, parts, config)
    ensemble = predict(fitted, data.hindcast.isel(start=parts.test), data)
"""

from __future__ import annotations

from esai_core._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Correction": "methods.correction",
        "Data": "data",
        "JOB": "job",
        "METHODS": "methods.correction",
        "SeasonalConfig": "config",
        "check": "data",
        "correct_series": "streaming",
        "fit": "fitting",
        "methods": "methods",
        "open_data": "data",
        "predict": "forecasting",
        "split": "splitting",
        "verify": "scoring",
        "write": "forecasting",
    },
)
