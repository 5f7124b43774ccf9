"""What the reports tell of trust: how far probabilities and intervals hold, and what drives the results."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from esai_core.explain import (
    Attribution,
    mean_size,
    occlusion,
    permutation_importance,
    randomisation_check,
)
from esai_core.report import add_drivers, add_intervals
from esai_core.report.plots import reliability_diagram
from esai_wwtp.graph import shuffle_graph
from esai_wwtp.network import load_card, load_runner

if TYPE_CHECKING:
    from esai_core.explain.sanity import RandomisationCheck
    from esai_core.report import Report
    from esai_wwtp.capacity import CapacityModel

__all__ = ["add_bands", "add_loads", "add_reliability", "band_importance", "pieces_to_explain"]

RANDOM_MODELS = 5


def add_reliability(page: Report, told: dict[str, Any]) -> None:
    """Add the reliability of the probabilities, as `esai_wwtp.scoring.reliability_of` gives it."""
    values = [
        np.array([np.nan if one is None else one for one in told[name]], dtype=float)
        for name in ("forecast", "observed", "count")
    ]
    page.section(
        "How sure are the probabilities",
        f"Brier score {told['brier']:.2e}, of the prevalence alone {told['brier_prevalence']:.2e}; mean "
        f"distance between probability and frequency {told['calibration_error']:.2e}. The network learns "
        "from chips, in which the class is more frequent than in scenes.",
    ).figure(
        reliability_diagram({"U-Net": (values[0], values[1], values[2])}, base_rate=told["prevalence"]),
        caption="Pixels: how often they were of the class where a probability was given. On the dashed line "
        "the two agree. Neighbouring pixels are not independent, so no interval is drawn.",
        alt="Reliability diagram",
    )


def add_loads(page: Report, model: CapacityModel, of: str) -> None:
    """Add coverage and sharpness of the intervals of the loads, and what drives the loads.

    Parameters
    ----------
    page : Report
    model : CapacityModel
    of : str
        What was fitted on what.
    """
    add_intervals(
        page,
        {"load of a plant": model.intervals},
        units="log10 of p.e.",
        text=f"Conformal intervals of loads: {of}; each plant by trees and a margin that have not seen its "
        f"block of space. Error of the median {model.scores['rmse_log10']:.3f} in log10, of a straight line "
        f"{model.scores['rmse_log10_line']:.3f}. The intervals of the methane join them with the ranges of "
        "the IPCC's factors, for which there is no truth to score.",
    )
    add_drivers(
        page,
        [Attribution.from_dict(model.drivers["importance"])],
        text="Of the load, for plants of blocks that the trees have not seen.",
    )
    page.note(model.drivers["check"], kind="info" if model.drivers["passed"] else "warning")


def band_importance(
    reflectance: NDArray[np.float32],
    target: NDArray[np.uint8],
    folder: Path,
    *,
    repeats: int = 3,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[list[Attribution], RandomisationCheck | None]:
    """Measure what each band tells a network.

    Parameters
    ----------
    reflectance : array (chip, row, column, band)
        Chips that did not train.
    target : array (chip, row, column)
        1 is the class, 0 is not; others do not count.
    folder : Path
        With ``network.onnx`` and ``network.json``.
    repeats, seed : int
        Shuffles of each band among the chips.
    threads : int, optional
        Of the runtime.

    Returns
    -------
    attributions : list of Attribution
        The rise of the Brier score when a band is taken from another chip, and the mean change of the
        probability on the class when a band is set to its mean.
    check : RandomisationCheck or None
        Of the first, by networks with shuffled weights; None with fewer than three bands.
    """
    card = load_card(folder / "network.json")
    truth = np.where(target == 1, 1.0, np.where(target == 0, 0.0, np.nan))

    def permuted(place: Path, times: int) -> Attribution:
        runner = load_runner(place, threads=threads)
        return permutation_importance(
            runner,
            reflectance,
            truth,
            names=card.bands,
            units="increase of the Brier score",
            repeats=times,
            seed=seed,
        )

    found = [permuted(folder, repeats)]
    shown = np.flatnonzero((target == 1).any((1, 2)))
    if len(shown):
        runner = load_runner(folder, threads=threads)
        own = target[shown] == 1

        def on_the_class(x: NDArray[np.float32]) -> NDArray[np.float64]:
            return np.asarray((runner(x) * own).sum((1, 2)) / own.sum((1, 2)), dtype=np.float64)

        changes = occlusion(on_the_class, reflectance[shown], baseline=np.asarray(card.mean))
        found.append(
            mean_size(
                changes, names=card.bands, method="occlusion", units="change of the probability on plants"
            )
        )
    if len(card.bands) < 3:
        return found, None
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        shutil.copy(folder / "network.json", place)

        def learnt_nothing(number: int) -> NDArray[np.float64]:
            shuffle_graph(folder / "network.onnx", place / "network.onnx", seed=number)
            return permuted(place, 1).values

        check = randomisation_check(found[0].values, learnt_nothing, count=RANDOM_MODELS)
    return found, check


def add_bands(
    page: Report, reflectance: NDArray[np.float32], target: NDArray[np.uint8], folder: Path
) -> None:
    """Add what each band tells the network; parameters as of `band_importance`."""
    attributions, check = band_importance(reflectance, target, folder)
    if not math.isfinite(float(np.sum(attributions[0].values))):
        return
    add_drivers(
        page,
        attributions,
        check=check,
        text=f"Of the network's probabilities, on {len(reflectance)} pieces of what did not train.",
    )


def pieces_to_explain(
    shape: tuple[int, int], centres: NDArray[np.float64], *, side: int, count: int, seed: int
) -> list[tuple[int, int]]:
    """Choose the upper left corners of pieces of a scene: one half around plants, one half anywhere."""
    random = np.random.default_rng(seed)
    places: list[Any] = list(centres[: count // 2])
    places += list(random.uniform((0, 0), shape, (count - len(places), 2)))
    return [
        (
            int(np.clip(row - side // 2, 0, max(shape[0] - side, 0))),
            int(np.clip(column - side // 2, 0, max(shape[1] - side, 0))),
        )
        for row, column in places
    ]
