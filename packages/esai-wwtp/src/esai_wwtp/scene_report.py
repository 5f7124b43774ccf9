"""The report of a run on scenes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from esai_core.report import Report
from esai_core.report.plots import loss_curve
from esai_core.report.plots.style import new_figure, styled
from esai_wwtp.capacity import CapacityModel
from esai_wwtp.chip_report import true_colour
from esai_wwtp.config import WwtpConfig
from esai_wwtp.geo import to_pixels
from esai_wwtp.labels import Labels
from esai_wwtp.scenes import Scene, Window
from esai_wwtp.treatment import TreatmentModel
from esai_wwtp.trust import add_bands, add_loads, add_reliability, pieces_to_explain
from esai_wwtp.vectors import read_vectors

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from esai_core.runs import RunFolder

__all__ = ["write_report"]

HALF = 48
EXPLAINED, EXPLAINED_SIDE = 16, 128
"""Pieces on which it is asked what drives the network, and their side in pixels."""


def write_report(
    scenes: list[Scene], labels: Labels | None, metrics: dict[str, Any], config: WwtpConfig, run: RunFolder
) -> None:
    """Write ``report.html``: scores, scenes with outlines, plants, how sure it all is, what drives it."""
    plants = read_vectors(run.find("plants.gpkg"))
    page = Report("Wastewater plants", f"{len(plants)} plants in {len(scenes)} scenes", run=run)
    scores = metrics["scores"]["unet"]
    if labels is None:
        page.headline(f"**{len(plants)} plants** found. Without labels nothing is scored.", kind="plain")
    else:
        load = scores["load_recall"]
        page.headline(
            f"**{len(plants)} plants** found; object F1 **{_text(scores['object_f1'])}** (IoU of 0.3), "
            f"{_text(scores['fp_per_1000km2'])} false alarms per 1,000 km2"
            + ("." if load is None else f", {load:.2f} of the load."),
            kind="good" if scores["object_f1"] else "warning",
        )
    toys = all(scene.name.startswith("toy_") for scene in scenes)
    if toys or config.data.synthetic is not None:
        what = "These scenes are made up" if toys else "The network has seen made-up scenes alone"
        page.note(
            f"{what}: the scores show that the chain works, and say nothing about real plants.",
            kind="warning",
        )
    if labels is not None:
        _scores(page, metrics)
    for scene in scenes[:3]:
        own = plants[plants["scene"] == scene.name].to_crs(scene.crs)
        page.section(f"Scene {scene.name}").figure(
            draw_scene(scene, own, labels),
            caption="The scene with what was found (orange) and the labels (white, dashed).",
            alt="Scene with outlines",
        )
        if len(own) or labels is not None:
            page.figure(
                draw_details(scene, own, labels),
                caption="Labels first, then what was found, 960 m wide.",
                alt="Plants in detail",
            )
    if len(plants):
        shown = plants.drop(columns=plants.geometry.name).sort_values("area_m2", ascending=False).head(20)
        page.section("Plants").table(shown, caption="The largest; all are in plants.gpkg and plants.parquet.")
    folder = run.find("model/network.json").parent
    if labels is not None:
        add_reliability(page, metrics["reliability"])
        _explain(page, scenes, labels, config, folder)
    if run.has("model/capacity.json"):
        add_loads(page, CapacityModel.load(folder), "labelled loads, on what the outlines show")
    if run.has("model/treatment.json"):
        page.section("Treatment").keyvalues(TreatmentModel.load(folder).scores)
    if run.has("history.csv"):
        page.section("Training").figure(
            loss_curve(run.find("history.csv")),
            caption="Loss by epoch.",
            alt="Loss by epoch",
        )
    page.write(run.path("report.html"))


def _explain(page: Report, scenes: list[Scene], labels: Labels, config: WwtpConfig, folder: Path) -> None:
    """Add what drives the network, on pieces of the scenes: half of them on plants."""
    side, each = min(config.train.chip, EXPLAINED_SIDE), max(2, EXPLAINED // len(scenes))
    values, targets = [], []
    for number, scene in enumerate(scenes[:EXPLAINED]):
        truth = labels.on(scene)
        for top, left in pieces_to_explain(scene.shape, truth.centres(), side=side, count=each, seed=number):
            window = Window(top, min(top + side, scene.shape[0]), left, min(left + side, scene.shape[1]))
            piece = scene.read(window, clouds=config.data.clouds)
            if window.shape == (side, side) and np.isfinite(piece).all():
                values.append(piece)
                targets.append(truth.read(window))
    if values and any((one == 1).any() for one in targets):
        add_bands(page, np.stack(values), np.stack(targets), folder)


def _text(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _scores(page: Report, metrics: dict[str, Any]) -> None:
    page.section("Scores").table(
        metrics["scores"],
        highlight="unet",
        caption=f"Prevalence {metrics['split']['prevalence']:.1e}; threshold {metrics['threshold']:.2f}, "
        "chosen on validation blocks. Objects are matched at an IoU of 0.3 (object_f1), of 0.1, and by "
        "their middles at 200 m at most; false alarms are objects without an IoU of 0.1.",
    )
    rows = [{"size": size, **table["unet"]} for size, table in metrics["by_size"].items()]
    page.section("By size").table(rows, caption="Plants by their pixels of 10 m.")
    page.section("Precision and recall").figure(
        draw_curve(metrics), caption="Pixels, over all thresholds.", alt="Precision over recall"
    )


@styled
def draw_curve(metrics: dict[str, Any]) -> Figure:
    """Draw precision over recall."""
    figure, (axis,) = new_figure(width=4.6, height=3.4)
    axis.plot(metrics["curve"]["recall"], metrics["curve"]["precision"])
    axis.axhline(metrics["split"]["prevalence"], linestyle="--", color="0.5")
    axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    return figure


def _lines(axis: Any, shapes: Any, origin: tuple[float, float], scene: Scene, **style: Any) -> None:
    """Draw the outlines of polygons in pixels relative to `origin` (row, column)."""
    for one in shapes:
        for part in getattr(one, "geoms", [one]):
            x, y = part.exterior.xy
            rows, columns = to_pixels(scene.transform, x, y)
            axis.plot(columns - origin[1] - 0.5, rows - origin[0] - 0.5, **style)


@styled
def draw_scene(scene: Scene, plants: Any, labels: Labels | None) -> Figure:
    """Draw a scene with outlines, thinned to about 1000 pixels."""
    step = max(1, max(scene.shape) // 900)
    picture = true_colour(scene.read(scene.whole, step=step, clouds=False), scene.bands)
    figure, (axis,) = new_figure(width=7.0, height=7.0 * scene.shape[0] / scene.shape[1])
    rows, columns = scene.shape
    axis.imshow(picture, extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    if labels is not None:
        _lines(axis, labels.on(scene).outlines, (0, 0), scene, color="white", linestyle="--", linewidth=0.8)
    _lines(axis, plants.geometry, (0, 0), scene, color="tab:orange", linewidth=1.0)
    middle = plants.geometry.centroid
    down, across = to_pixels(scene.transform, middle.x, middle.y)
    axis.plot(across, down, "o", markersize=14, markerfacecolor="none", color="tab:orange")
    axis.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), xticks=[], yticks=[])
    return figure


@styled
def draw_details(scene: Scene, plants: Any, labels: Labels | None, *, count: int = 8) -> Figure:
    """Draw the surroundings of labels and of what was found."""
    truth = labels.on(scene) if labels is not None else None
    places = [] if truth is None else [tuple(one) for one in truth.centres()[: count // 2]]
    for one in plants.sort_values("probability").geometry.centroid[: count - len(places)]:
        row, column = to_pixels(scene.transform, one.x, one.y)
        places.append((float(row), float(column)))
    number = max(len(places), 1)
    width = min(number, 4)
    figure, axes = new_figure(
        rows=-(-number // width), columns=width, width=1.9 * width, height=1.9 * -(-number // width)
    )
    for axis in axes:
        axis.set_axis_off()
    for axis, (row, column) in zip(axes, places, strict=False):
        top = int(np.clip(row - HALF, 0, max(scene.shape[0] - 2 * HALF, 0)))
        left = int(np.clip(column - HALF, 0, max(scene.shape[1] - 2 * HALF, 0)))
        window = Window(top, min(top + 2 * HALF, scene.shape[0]), left, min(left + 2 * HALF, scene.shape[1]))
        axis.imshow(true_colour(scene.read(window, clouds=False), scene.bands))
        if truth is not None:
            _lines(axis, truth.outlines, (top, left), scene, color="white", linestyle="--", linewidth=1.0)
        _lines(axis, plants.geometry, (top, left), scene, color="tab:orange", linewidth=1.2)
        axis.set(xlim=(-0.5, window.shape[1] - 0.5), ylim=(window.shape[0] - 0.5, -0.5))
    return figure
