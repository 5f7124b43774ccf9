"""metrics.json: the scores of every method on the test split, and which method was delivered."""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from esai_core.errors import EsaiError, InputError, nearest

__all__ = ["check_metrics", "read_metrics"]

SCHEMA_VERSION = 1


def check_metrics(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Check the content of metrics.json and bring it to plain JSON types.

    Parameters
    ----------
    metrics : mapping
        ``split`` (mapping), ``delivered`` (a method), ``scores`` ``{METHOD: {SCORE: value}}``, and what else
        the package adds: ``by_lead`` (and other ``by_...``) ``{LEAD: {METHOD: {SCORE: value}}}``, counts.
        NumPy scalars and 0-d arrays count as numbers; a score that is not defined is None.

    Returns
    -------
    dict
        With ``schema_version`` first and ``timings_s`` last, ready for ``json.dumps``.

    Raises
    ------
    EsaiError
        If a part is missing, a value is no finite number, or `delivered` has no scores.
    """
    plain = {str(key): _plain(value, str(key)) for key, value in metrics.items()}
    for key, kind in {"split": dict, "delivered": str, "scores": dict}.items():
        if not isinstance(plain.get(key), kind):
            raise EsaiError(f"metrics need {key!r}", where="metrics.json", remedy=f"give a {kind.__name__}")
    _check_table(plain["scores"], "scores")
    if plain["delivered"] not in plain["scores"]:
        hint = nearest(plain["delivered"], plain["scores"])
        raise EsaiError(
            f"no scores of the delivered method {plain['delivered']!r}", where="metrics.json", remedy=hint
        )
    for key in plain:
        if key.startswith("by_"):
            if not isinstance(plain[key], dict):
                raise EsaiError(
                    f"{key!r} must map each lead (window, variable) to a table", where="metrics.json"
                )
            for name, table in plain[key].items():
                _check_table(table, f"{key}.{name}")
    timings = plain.pop("timings_s", {})
    plain.pop("schema_version", None)
    return {"schema_version": SCHEMA_VERSION, **plain, "timings_s": timings}


def _check_table(table: Any, where: str) -> None:
    if not isinstance(table, dict) or not table:
        raise EsaiError(f"{where!r} must map each method to its scores", where="metrics.json")
    for method, scores in table.items():
        if not isinstance(scores, dict):
            raise EsaiError(f"'{where}.{method}' must map each score to a value", where="metrics.json")
        for score, value in scores.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise EsaiError(f"{where}.{method}.{score} is no number: {value!r}", where="metrics.json")


def _plain(value: Any, key: str) -> Any:
    """Bring a value to what JSON holds; refuse NaN and infinity, naming the key."""
    if isinstance(value, Mapping):
        return {_name(name): _plain(item, f"{key}.{_name(name)}") for name, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, and what wraps them
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{key}.{number}") for number, item in enumerate(value)]
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        if not math.isfinite(value):
            raise EsaiError(
                f"{key} is {float(value)}",
                where="metrics.json",
                remedy="write None for a score that is not defined",
            )
        return float(value)
    return str(value)  # dates, paths


def _name(key: Any) -> str:
    return str(key.item() if hasattr(key, "item") else key)


def read_metrics(folder: str | Path) -> dict[str, Any]:
    """Read metrics.json of a run folder.

    Raises
    ------
    InputError
        If it is missing or no JSON.
    """
    path = Path(folder) / "metrics.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError("no metrics here", where=path, remedy="run the verb evaluate first") from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}", where=path) from None
