"""Methods by name."""

from __future__ import annotations

from typing import Any

from esai_s2s.methods.emos import Emos
from esai_s2s.methods.logistic import Logistic
from esai_s2s.methods.raw import Raw
from esai_s2s.methods.settings import Settings
from esai_s2s.methods.trees import Boosting, Forest

__all__ = ["METHODS", "NEEDS_FORECAST", "Settings"]

METHODS: dict[str, Any] = {
    "raw": Raw,
    "logistic": Logistic,
    "forest": Forest,
    "boosting": Boosting,
    "emos": Emos,
}
"""Name to class; climatology needs no fit, and the ensemble is made of the others."""

NEEDS_FORECAST = frozenset({"raw", "emos"})
"""Methods that past observations cannot stand in for."""
