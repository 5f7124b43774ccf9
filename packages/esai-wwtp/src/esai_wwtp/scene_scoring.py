"""Scores of scenes: pixels from counts, plants by overlap and distance, loads, and false alarms by area."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from esai_core.verify import match_objects, match_points
from esai_wwtp.chips import IGNORE
from esai_wwtp.config import WwtpConfig
from esai_wwtp.fitting import Gaussian
from esai_wwtp.geo import to_pixels
from esai_wwtp.labels import Labels, SceneLabels
from esai_wwtp.network import load_card
from esai_wwtp.plants import find_pieces, mask_of
from esai_wwtp.rasters import SCALE, as_bytes, as_probability, said
from esai_wwtp.scenes import Scene
from esai_wwtp.scoring import reliability_of

if TYPE_CHECKING:
    from esai_core.runs import RunFolder

__all__ = ["SIZES", "Tally", "score_scenes"]

SIZES = {"below 250 pixels": (0, 250), "250 to 500": (250, 500), "above 500": (500, np.inf)}
"""Classes of plants by their pixels of 10 m."""
EIGHT = np.ones((3, 3))


@dataclass
class Tally:
    """Counts of one method over many scenes, from which every score follows.

    Attributes
    ----------
    hits, others : array of int
        Pixels of plants, and all others, by stored probability (0 ... 250).
    matched, said, true : dict
        Number of matched, forecast and true plants, by the way of matching.
    loads : list of pair
        Load of each true plant and whether it was found (IoU of 0.3).
    sizes : dict
        Class of size to (found, true).
    area_km2 : float
        Area that was seen.
    """

    hits: NDArray[np.int64] = field(default_factory=lambda: np.zeros(SCALE + 1, np.int64))
    others: NDArray[np.int64] = field(default_factory=lambda: np.zeros(SCALE + 1, np.int64))
    matched: dict[str, int] = field(default_factory=dict)
    said: dict[str, int] = field(default_factory=dict)
    true: dict[str, int] = field(default_factory=dict)
    loads: list[tuple[float, bool]] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=lambda: dict.fromkeys(SIZES, (0, 0)))
    area_km2: float = 0.0

    def add(
        self,
        probability: NDArray[np.float32],
        found: NDArray[np.bool_],
        target: NDArray[np.uint8],
        loads: NDArray[np.float64],
        *,
        pixel_m: float,
    ) -> None:
        """Count a scene.

        Parameters
        ----------
        probability : array (row, column)
            NaN where nothing was seen, which counts as not found.
        found : array (row, column)
            The plants that the method says.
        target : array (row, column)
            0, 1 or `IGNORE`.
        loads : array
            Of the plants as `scipy.ndimage.label` numbers them (8 neighbours); NaN where not known.
        pixel_m : float
            Side of a pixel.
        """
        stored = as_bytes(np.nan_to_num(probability))
        self.hits += np.bincount(stored[target == 1], minlength=SCALE + 1)
        self.others += np.bincount(stored[target == 0], minlength=SCALE + 1)
        self.area_km2 += float((np.isfinite(probability) & (target != IGNORE)).sum()) * pixel_m**2 / 1e6
        ours, truth = _without_ignored(found, target), target == 1
        match = match_objects(ours, truth, threshold=0.3)
        middles = _middles(ours) * pixel_m, _middles(truth) * pixel_m
        ways = {
            "iou30": match,
            "iou10": match_objects(ours, truth, threshold=0.1),
            "200m": match_points(*middles, distance=200.0),
        }
        for name, one in ways.items():
            self.matched[name] = self.matched.get(name, 0) + len(one.pairs)
            self.said[name] = self.said.get(name, 0) + one.forecast
            self.true[name] = self.true.get(name, 0) + one.observed
        hit = np.zeros(match.observed, bool)
        hit[match.pairs[:, 1]] = True
        self.loads += list(zip(loads.tolist(), hit.tolist(), strict=True))
        pixels = np.bincount(ndimage.label(truth, structure=EIGHT)[0].ravel())[1:]
        for name, (low, high) in SIZES.items():
            own = (pixels >= low) & (pixels < high)
            before = self.sizes[name]
            self.sizes[name] = (before[0] + int(hit[own].sum()), before[1] + int(own.sum()))

    def scores(self, threshold: float) -> dict[str, Any]:
        """Give all scores; None where one is not defined."""
        level = int(np.ceil(round(threshold * SCALE, 6)))
        tp, fp = int(self.hits[level:].sum()), int(self.others[level:].sum())
        positives = int(self.hits.sum())
        loads = np.array([load for load, _ in self.loads])
        found = np.array([one for _, one in self.loads], dtype=bool)
        known = np.isfinite(loads)
        false_alarms = self.said.get("iou10", 0) - self.matched.get("iou10", 0)
        return {
            "iou": _ratio(tp, positives + fp),
            "f1": _ratio(2 * tp, positives + tp + fp),
            "pr_auc": self._average_precision(),
            "object_f1": self._object_f1("iou30"),
            "object_f1_iou10": self._object_f1("iou10"),
            "object_f1_200m": self._object_f1("200m"),
            "object_precision": _ratio(self.matched.get("iou30", 0), self.said.get("iou30", 0)),
            "object_recall": _ratio(self.matched.get("iou30", 0), self.true.get("iou30", 0)),
            "fp_per_1000km2": _ratio(1000.0 * false_alarms, self.area_km2),
            "load_recall": _ratio(float(loads[known & found].sum()), float(loads[known].sum())),
        }

    def _object_f1(self, way: str) -> float | None:
        total = self.said.get(way, 0) + self.true.get(way, 0)
        return _ratio(2 * self.matched.get(way, 0), total)

    def _average_precision(self) -> float | None:
        """Sum precision times the step in recall over the levels (`esai_core.verify.pr_auc`)."""
        hits = self.hits[::-1].cumsum()
        said = hits + self.others[::-1].cumsum()
        if not hits[-1]:
            return None
        precision = np.divide(hits, said, out=np.zeros(len(hits)), where=said > 0)
        return float((precision * np.diff(hits, prepend=0)).sum() / hits[-1])

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give recall and precision over the stored levels, from the highest."""
        hits = self.hits[::-1].cumsum()
        said = hits + self.others[::-1].cumsum()
        with np.errstate(invalid="ignore", divide="ignore"):
            return hits / max(int(hits[-1]), 1), np.where(said > 0, hits / said, np.nan)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _middles(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    labels, count = ndimage.label(mask, structure=EIGHT)
    if not count:
        return np.empty((0, 2))
    return np.array(ndimage.center_of_mass(mask, labels, np.arange(1, count + 1)), dtype=np.float64)


def _without_ignored(found: NDArray[np.bool_], target: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Take out what lies on a region to ignore and on no plant: it is neither right nor wrong."""
    if not (target == IGNORE).any():
        return found
    labels, count = ndimage.label(found, structure=EIGHT)
    ignored = np.bincount(labels[target == IGNORE], minlength=count + 1) > 0
    right = np.bincount(labels[target == 1], minlength=count + 1) > 0
    drop = ignored & ~right
    drop[0] = False
    return found & ~drop[labels]


def scene_loads(truth: SceneLabels, target: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Give the load of each labelled plant: that of the outlines on it, else NaN."""
    labels, count = ndimage.label(target == 1, structure=EIGHT)
    loads = np.full(count, np.nan)
    if "load" not in truth.table:
        return loads
    import shapely

    middle = shapely.point_on_surface(truth.outlines)
    rows, columns = to_pixels(truth.scene.transform, shapely.get_x(middle), shapely.get_y(middle))
    for row, column, load in zip(np.floor(rows), np.floor(columns), truth.table["load"], strict=True):
        if 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1] and np.isfinite(load):
            number = labels[int(row), int(column)] - 1
            if number >= 0:
                loads[number] = np.nansum([loads[number], load])
    return loads


def score_scenes(
    scenes: list[Scene], labels: Labels | None, config: WwtpConfig, run: RunFolder
) -> dict[str, Any]:
    """Score the network and the maximum-likelihood classifier on scenes, as metrics.json holds it."""
    import rasterio

    card = load_card(run.find("model/network.json"))
    threshold = config.objects.threshold or card.threshold
    if labels is None:
        scores: dict[str, Any] = {"unet": {"iou": None, "object_f1": None}}
        return {
            "split": {"scenes": len(scenes)},
            "delivered": "unet",
            "threshold": threshold,
            "scores": scores,
        }
    gaussian = Gaussian(json.loads(run.find("model/maximum_likelihood.json").read_text()))
    tallies = {"unet": Tally(), "maximum_likelihood": Tally()}
    limits = {"unet": threshold, "maximum_likelihood": 0.5}
    for scene in scenes:
        truth = labels.on(scene)
        target = truth.read(scene.whole)
        loads = scene_loads(truth, target)
        with rasterio.open(run.find(f"probability/{scene.name}.tif")) as file:
            probability = as_probability(file.read(1))
        seen = scene.read(scene.whole, clouds=config.data.clouds)
        other = np.where(np.isfinite(probability), gaussian.predict(np.nan_to_num(seen)), np.float32(np.nan))
        for name, field_ in (("unet", probability), ("maximum_likelihood", other)):
            pieces = find_pieces(
                said(as_bytes(field_), limits[name]),
                close=config.objects.close_pixels,
                min_pixels=config.objects.min_pixels or card.min_pixels,
            )
            found = mask_of(pieces, scene.shape)
            tallies[name].add(field_, found, target, loads, pixel_m=abs(scene.transform.a))
    pixels = int(tallies["unet"].hits.sum() + tallies["unet"].others.sum())
    curve = tallies["unet"].curve()
    kept = np.isfinite(curve[1])
    return {
        "split": {
            "scenes": [scene.name for scene in scenes],
            "unseen": bool(config.data.test_scenes or config.data.synthetic),
            "pixels": pixels,
            "prevalence": int(tallies["unet"].hits.sum()) / max(pixels, 1),
            "plants": tallies["unet"].true.get("iou30", 0),
        },
        "delivered": "unet",
        "threshold": threshold,
        "scores": {name: tally.scores(limits[name]) for name, tally in tallies.items()},
        "by_size": {
            size: {
                name: {
                    "object_recall": _ratio(*tally.sizes[size]),
                    "found": tally.sizes[size][0],
                    "plants": tally.sizes[size][1],
                }
                for name, tally in tallies.items()
            }
            for size in SIZES
        },
        "reliability": reliability_of(tallies["unet"].hits, tallies["unet"].others),
        "curve": {"recall": curve[0][kept][::5].round(4), "precision": curve[1][kept][::5].round(4)},
    }
