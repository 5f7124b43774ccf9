"""What metrics.json says, in a sentence and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from esai_core.errors import unknown

__all__ = ["key_message", "score_rows"]


def key_message(
    metrics: Mapping[str, Any], *, score: str = "rmse", units: str = "", lower_is_better: bool = True
) -> str:
    """Say what was delivered and how it compares with the best of the others, for the top of a report.

    Parameters
    ----------
    metrics : mapping
        Content of metrics.json.
    score : str, default "rmse"
        The score to compare by.
    units : str
        Of the score.
    lower_is_better : bool, default True
        Orientation of the score.

    Returns
    -------
    str
        One or two sentences in light Markdown.

    Raises
    ------
    UsageError
        If the delivered method has no such score.
    """
    delivered, table = metrics["delivered"], metrics["scores"]
    if score not in table[delivered]:
        raise unknown("score", score, table[delivered], where=f"scores.{delivered}")
    value = table[delivered][score]
    head = f"Delivered: **{delivered}**"
    if value is None:
        return f"{head}. Its {score} is not defined on the test split."
    head += f", {score} {_number(value, units)} on the test split."
    others = {
        name: row[score] for name, row in table.items() if name != delivered and row.get(score) is not None
    }
    if not others:
        return head
    best = (min if lower_is_better else max)(others, key=lambda name: others[name])
    other = others[best]
    gain = (other - value) if lower_is_better else (value - other)
    compared = f"the best of the others, {best} ({_number(other, units)})"
    if other == value:
        return f"{head} The same as {compared}."
    size = f"{100 * abs(gain / other):.1f} %" if other * value > 0 else _number(abs(gain), units)
    return f"{head} That is {size} {'better' if gain > 0 else 'worse'} than {compared}."


def _number(value: float, units: str) -> str:
    return f"{value:.4g} {units}".strip()


def score_rows(
    metrics: Mapping[str, Any], *, score: str | None = None, lower_is_better: bool = True
) -> list[dict[str, Any]]:
    """Give the scores as rows of a table, one per method.

    Parameters
    ----------
    metrics : mapping
        Content of metrics.json.
    score : str, optional
        Sort by this score, best first; what is not defined comes last.
    lower_is_better : bool, default True
        Orientation of `score`.

    Returns
    -------
    list of dict
        ``{"method": ..., SCORE: value, ...}``.
    """
    rows = [{"method": name, **scores} for name, scores in metrics["scores"].items()]
    if score is not None:
        sign = 1 if lower_is_better else -1
        rows.sort(key=lambda row: (row.get(score) is None, sign * (row.get(score) or 0)))
    return rows
