"""The report of a run on chips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from esai_core.report import Report
from esai_core.report.plots import loss_curve
from esai_core.report.plots.style import new_figure, styled
from esai_wwtp.chips import Chips
from esai_wwtp.scoring import precision_recall
from esai_wwtp.trust import add_bands, add_reliability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from esai_core.runs import RunFolder

__all__ = ["draw_precision_recall", "true_colour", "write_report"]

EXPLAINED = 16
"""Chips on which it is asked what drives the network."""


def write_report(part: Chips, probability: np.ndarray, metrics: dict[str, Any], run: RunFolder) -> None:
    """Write ``report.html``: scores, examples, how sure the network is, what drives it, the training."""
    scores, threshold = metrics["scores"], metrics["threshold"]
    best, other = scores["unet"], scores["maximum_likelihood"]
    page = Report("A mask learnt from chips", f"{len(part)} chips that did not train", run=run)
    page.headline(
        f"**U-Net**: IoU {best['iou']:.3f}, F1 {best['f1']:.3f}; without context (maximum likelihood of each "
        f"pixel) IoU {other['iou']:.3f}, F1 {other['f1']:.3f}.",
        kind="good" if best["iou"] > other["iou"] else "warning",
    )
    page.section("Scores").table(
        scores,
        highlight="unet",
        best={name: "max" for name in best},
        caption=f"All pixels of the test chips; threshold {threshold:.2f}, chosen on validation chips.",
    )
    page.section("Precision and recall").figure(
        draw_precision_recall(probability, part.target, threshold),
        caption="Every threshold; the dot is the one that was chosen. The dashed line is the prevalence.",
        alt="Precision over recall",
    )
    page.section("Chips").figure(
        draw_chips(part, probability, threshold),
        caption="Chips from the best to the worst IoU. White: found; red: missed; yellow: called the class "
        "and is not.",
        alt="Chips with hits and errors",
    )
    add_reliability(page, metrics["reliability"])
    some = np.linspace(0, len(part) - 1, min(EXPLAINED, len(part))).round().astype(int)
    add_bands(page, part.reflectance(some), part.target[some], run.find("model/network.json").parent)
    page.section("Training").figure(
        loss_curve(run.find("history.csv")),
        caption="Loss by epoch.",
        alt="Loss by epoch",
    )
    page.write(run.path("report.html"))


@styled
def draw_precision_recall(probability: np.ndarray, target: np.ndarray, threshold: float) -> Figure:
    """Draw precision over recall, with the chosen threshold."""
    thresholds, precision, recall = precision_recall(probability, target)
    figure, (axis,) = new_figure(width=4.6, height=3.6)
    axis.plot(recall, precision)
    chosen = int(np.argmin(np.abs(thresholds - threshold)))
    axis.plot(recall[chosen], precision[chosen], "o", markersize=7)
    axis.axhline(float((target == 1).sum() / max((target <= 1).sum(), 1)), linestyle="--", color="0.5")
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    return figure


def true_colour(reflectance: np.ndarray, bands: tuple[str, ...]) -> np.ndarray:
    """Give a picture ``(row, column, 3)`` of reflectance ``(row, column, band)``, stretched to 0 ... 0.3."""
    order = [bands.index(name) if name in bands else 0 for name in ("B04", "B03", "B02")]
    return np.clip(np.nan_to_num(reflectance[..., order]) / 0.3, 0, 1) ** 0.8


@styled
def draw_chips(part: Chips, probability: np.ndarray, threshold: float, *, count: int = 6) -> Figure:
    """Draw chips over the range of IoU: the picture, and hits and errors on it."""
    said, truth = probability >= threshold, part.target == 1
    union = (said | truth).sum((1, 2))
    iou = np.where(union > 0.02 * truth[0].size, (said & truth).sum((1, 2)) / np.maximum(union, 1), np.nan)
    order = np.argsort(-iou)[: int(np.isfinite(iou).sum())]
    if not len(order):
        order = np.arange(len(part))
    chosen = order[np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)]
    figure, axes = new_figure(rows=2, columns=len(chosen), width=1.6 * len(chosen) + 0.2, height=3.6)
    for column, number in enumerate(chosen):
        picture = true_colour(part.reflectance(np.array([number]))[0], part.bands)
        marked = picture * 0.6
        marked[said[number] & truth[number]] = (1.0, 1.0, 1.0)
        marked[~said[number] & truth[number]] = (0.85, 0.2, 0.2)
        marked[said[number] & ~truth[number] & (part.target[number] == 0)] = (0.95, 0.8, 0.25)
        axes[column].imshow(picture)
        axes[column].set_title(f"IoU {iou[number]:.2f}" if np.isfinite(iou[number]) else "no class")
        axes[len(chosen) + column].imshow(marked)
    for axis in axes:
        axis.set_axis_off()
    return figure
