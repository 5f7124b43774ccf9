"""Sections of the reports: how sure the values are, what drives them, and what conserving would change."""

from __future__ import annotations

from typing import Any

from esai_core.explain import Drivers
from esai_core.report import Report, add_drivers, add_intervals
from esai_core.runs import RunFolder
from esai_seasonal.calibration import COVERAGE

__all__ = ["conservation", "drivers", "intervals", "intervals_between_nodes"]


def intervals(report: Report, metrics: dict[str, Any]) -> None:
    """Tell how sure the delivered values are."""
    if not metrics["interval"]:
        report.section("How sure is it", "Too few years to calibrate intervals on.")
        return
    add_intervals(
        report,
        metrics["interval"],
        coverage=COVERAGE,
        units=metrics["units"],
        text="As wide, in units of the ensemble's spread, as what the delivered method missed in years that "
        "its fits had not seen: training years forecast from those before them, the validation years, and of "
        "the test years those that were over when a forecast was issued. Blocks are years.",
    )
    compared = metrics["interval_choice"]["compared"]
    if compared:
        rows = [
            {"step of the level": name, **{key: one[key] for key in ("coverage", "width", "interval_score")}}
            for name, one in compared.items()
        ]
        report.table(
            rows,
            highlight=f"{metrics['interval_choice']['gamma']:g}",
            caption="How fast the intervals adapt (0: not at all) was chosen on the years before the test: "
            "the nearest coverage, then the best interval score.",
        )


def intervals_between_nodes(report: Report, metrics: dict[str, Any]) -> None:
    """Tell how sure refined fields are."""
    add_intervals(
        report,
        metrics["interval"],
        coverage=COVERAGE,
        units=metrics["units"],
        text="Between the nodes, as wide (in units of each cell's detail) as what the delivered method "
        "missed on the validation part. Blocks are days, or years.",
    )


def drivers(report: Report, run: RunFolder) -> None:
    """Tell what the delivered method follows."""
    if not run.has("models/drivers.json"):
        report.section("What drives this", "No network, or too few whole years are scored to tell.")
        return
    told = Drivers.load(run.find("models/drivers.json"))
    add_drivers(report, told.attributions, check=told.check, text=told.text)


def conservation(report: Report, metrics: dict[str, Any]) -> None:
    """Show what keeping the means of coarse cells would change."""
    rows = [{"method": name, **row} for name, row in metrics["conservation"].items()]
    if not rows:
        return
    report.section(
        "Conserving coarse means",
        "These fields are refined from their values at the nodes. Where the means of coarse cells are known "
        "too, a hard constraint keeps them: the nearest field that has them (`esai_core.physics.conserve`).",
    )
    report.table(
        rows,
        highlight=metrics["delivered"],
        best={"rmse": "min", "rmse_conserving": "min"},
        caption=f"Ablation: RMSE ({metrics['units']}) as it is and with the means of the truth kept; `miss` "
        "is the largest relative error of a coarse mean.",
    )
