"""Sections that every report has: how sure it is, and what drives it; and one on lagged causes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from esai_core.errors import UsageError
from esai_core.report import plots

if TYPE_CHECKING:
    from esai_core.causality import Causes
    from esai_core.explain import Attribution, RandomisationCheck
    from esai_core.report.builder import Report

__all__ = ["add_causes", "add_drivers", "add_intervals"]


def add_intervals(
    report: Report,
    scores: Mapping[str, Mapping[str, float]],
    *,
    coverage: float = 0.9,
    units: str = "",
    text: str = "",
    tolerance: float = 0.05,
    title: str = "How sure is it",
) -> Report:
    """Add the section "How sure is it": coverage and sharpness of the intervals.

    Parameters
    ----------
    report : Report
        Given back, so that calls can be chained.
    scores : mapping of str to mapping
        Name of the part (all, a lead, a region) to what `esai_core.uncertainty.interval_scores` gave.
    coverage : float
        What the intervals claim.
    units : str
        Of the width.
    text : str
        Markdown: how they were calibrated, on which cases.
    tolerance : float
        Parts whose coverage is farther than this from the claim are named in a warning.
    title : str
        Of the section, where a report has several products.
    """
    if not scores:
        raise UsageError("no intervals to report")
    report.section(
        title,
        f"Intervals that should hold {100 * coverage:.0f} % of the truths, scored on cases that neither "
        f"fitted nor calibrated anything. {text}".strip(),
    )
    width = f"mean width ({units})" if units else "mean width"
    rows = [
        {
            "part": name,
            "coverage": one["coverage"],
            "5-95 % of it": f"{one['coverage_low']:.3f} to {one['coverage_high']:.3f}"
            if "coverage_low" in one
            else None,
            width: one["width"],
            "interval score": one["interval_score"],
            "too low / too high": f"{one['above']:.3f} / {one['below']:.3f}",
            "cases": int(one["cases"]),
        }
        for name, one in scores.items()
    ]
    report.table(
        rows,
        caption="Coverage should be the claim; among intervals that keep it, the narrower are better. "
        "*Too low* are the intervals that lie wholly below the truth.",
    )
    wrong = [name for name, one in scores.items() if abs(one["coverage"] - coverage) > tolerance]
    if wrong:
        report.note(
            f"Farther than {100 * tolerance:.0f} points from the claim: **{', '.join(wrong)}**. Do not read "
            "these intervals at their nominal level.",
            kind="warning",
        )
    return report


def add_drivers(
    report: Report,
    attributions: Sequence[Attribution],
    *,
    check: RandomisationCheck | None = None,
    text: str = "",
    most: int = 12,
    title: str = "What drives this",
) -> Report:
    """Add the section "What drives this": importance of the predictors by one or several methods.

    Parameters
    ----------
    report : Report
        Given back, so that calls can be chained.
    attributions : sequence of Attribution
        Of one model; by lead, month or region too where they have parts.
    check : RandomisationCheck, optional
        Its verdict is told, as a warning where it failed.
    text : str
        Markdown: of which model, on which cases.
    most : int
        Predictors shown.
    title : str
        Of the section, where a report has several products.
    """
    if not attributions:
        raise UsageError("no attribution to report")
    first = attributions[0]
    report.section(title, text)
    leading = first.ranking()[:most]
    for one in attributions:
        place = {name: i for i, name in enumerate(one.names)}
        names = one.ranking()[:most]
        values = {name: float(one.values[place[name]]) for name in names}
        spread = one.spread
        intervals = None
        if spread is not None:
            intervals = {
                name: (values[name] - spread[place[name]], values[name] + spread[place[name]])
                for name in names
            }
        low = min([0.0, *(value for value in values.values() if np.isfinite(value))])
        report.figure(
            plots.skill_bars(
                values, intervals=intervals, label=one.units, title=one.method, floor=1.2 * low - 1e-12
            ),
            caption=f"{one.method.capitalize()}: {one.units}."
            + (" Lines show one standard deviation over the repetitions." if intervals else "")
            + _rest(len(one.names) - len(names)),
        )
        if one.by:
            table = np.array([[part[place[name]] for part in one.by.values()] for name in names])
            report.figure(
                plots.heatmap(table, rows=names, columns=list(one.by), label=one.units),
                caption="The same by part of the cases (lead, month or region).",
            )
    if len(attributions) > 1:
        report.table(_ranks(attributions, leading), caption="Rank of each predictor by each method.")
    if check is not None:
        report.note(str(check), kind="info" if check.passed else "warning")
    report.text(
        "Importance tells what the model uses. Predictors that carry the same information share it, and "
        "neither need be a cause."
    )
    return report


def add_causes(report: Report, causes: Causes, *, q: float = 0.05, text: str = "", most: int = 12) -> Report:
    """Add the section "Lagged causes": the links into a series, and how many are found where there are none.

    Parameters
    ----------
    report : Report
        Given back, so that calls can be chained.
    causes : Causes
        Of `esai_core.causality.Causes.find`.
    q : float
        False discovery rate of the links that are listed.
    text : str
        Markdown: of which series, on which steps of time.
    most : int
        Links listed.
    """
    links, target, false = causes.links, causes.target, causes.false
    report.section(
        "Lagged causes",
        f"Links into **{target}**, given the past of all series (PCMCI, Runge et al., 2019), within a false "
        f"discovery rate of {100 * q:g} %. {text}".strip(),
    )
    rows = [row for row in links.rows(q=q, target=target) if row["driver"] != target]
    own = [row["lag"] for row in links.rows(q=q, target=target) if row["driver"] == target]
    if rows:
        caption = "The surest first; lags in steps of the series." + _rest(len(rows) - most, "links")
        report.table(rows[:most], caption=caption)
    else:
        report.text("No link from another series is found.")
    memory = f" Its own past matters at lag {', '.join(map(str, own))}." if own else ""
    rate = false["false_positive_rate"]
    report.note(
        f"Of the links into {int(false['count'])} series that nothing can cause (the target with its blocks "
        f"in another order), {100 * rate:.1f} % have p <= 0.05, and {100 * false['runs_with_links']:.0f} % "
        f"of these series have any link within the rate.{memory}",
        kind="info" if rate <= 0.08 else "warning",
    )
    report.text(
        "A link is a cause only if all common drivers are among the series and nothing acts within one step."
    )
    return report


def _rest(count: int, what: str = "predictors of less importance") -> str:
    return f" {count} {what} are not shown." if count > 0 else ""


def _ranks(attributions: Sequence[Attribution], names: Sequence[str]) -> list[dict[str, Any]]:
    ranks = {one.method: {name: i + 1 for i, name in enumerate(one.ranking())} for one in attributions}
    return [
        {"predictor": name} | {method: rank.get(name) for method, rank in ranks.items()} for name in names
    ]
