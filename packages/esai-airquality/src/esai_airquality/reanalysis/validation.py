"""Skill where no station is: leave out each station, and leave out blocks of space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esai_airquality.reanalysis.config import ModelSection
from esai_airquality.reanalysis.kriging import great_circle
from esai_airquality.reanalysis.residuals import Fit, fit_residual, predict_residual
from esai_airquality.reanalysis.sample import Sample
from esai_core import progress, splits
from esai_core.uncertainty import conformal_quantile

__all__ = ["chosen_elsewhere", "cross_validate", "interval_factors", "methods_for", "rmse"]

Array = NDArray[np.float64]


def methods_for(sample: Sample, config: ModelSection) -> list[str]:
    """Name the methods that a sample allows: without a model no ``raw``, without predictors no learning."""
    learnt = bool(sample.names) or sample.has_model
    return [
        name
        for name in config.methods
        if (name != "raw" or sample.has_model) and (learnt or not name.startswith(("ridge", "forest")))
    ]


def cross_validate(
    sample: Sample, config: ModelSection, *, seed: int, methods: Sequence[str] | None = None
) -> pd.DataFrame:
    """Predict every case by fits that did not see its station, and by fits that did not see its block.

    Everything that is fitted (scales, penalties, covariances) is fitted inside the fold.

    Parameters
    ----------
    sample : Sample
        All cases.
    config : ModelSection
        Methods.
    seed : int
        Of blocks and forest.
    methods : sequence of str, optional
        These alone, each with a variance; by default those of the config, where kriging alone has one.

    Returns
    -------
    DataFrame
        For each scheme (``"loso"``, ``"blocks"``) and case: ``scheme``, ``station``, ``latitude``,
        ``longitude``, ``period``, ``observed``, ``modelled``, ``distance`` (km to the nearest training
        station), one column of corrected values for each method, and ``sd_METHOD`` where it has a variance.
    """
    used = np.unique(sample.place)
    lat, lon = sample.latitude, sample.longitude
    blocks = splits.spatial_blocks(lat[used], lon[used], size_km=config.block_km, seed=seed)
    schemes = {
        "loso": [np.array([place]) for place in used],
        "blocks": [used[fold.test] for fold in blocks],
    }
    tables = []
    for scheme, folds in schemes.items():
        columns: dict[str, NDArray] = {"distance": np.full(len(sample.place), np.nan)}
        for left_out in progress.track(folds, total=len(folds), label=scheme):
            test = sample.of_places(left_out)
            train, target = sample.cases(~test), sample.cases(test)
            kept = np.unique(train.place)
            near = great_circle(lat[target.place], lon[target.place], lat[kept], lon[kept]).min(axis=1)
            columns["distance"][test] = near
            fit: Fit | None = None
            for name in methods or methods_for(sample, config):
                settings: dict[str, Any] = {"power": config.idw_power, "trees": config.trees, "seed": seed}
                known = fit.trend if fit is not None else None
                fit = fit_residual(train, name, variance=methods is not None, trend=known, **settings)
                corrected, sd = _predicted(fit, target)
                for column, values in ((name, corrected), (f"sd_{name}", sd)):
                    columns.setdefault(column, np.full(len(test), np.nan))[test] = values
        facts = {
            "scheme": scheme,
            "station": np.array(sample.stations)[sample.place],
            "latitude": lat[sample.place],
            "longitude": lon[sample.place],
            "period": np.array(sample.periods)[sample.period],
            "observed": sample.observed,
            "modelled": sample.modelled if sample.has_model else np.nan,
        }
        tables.append(pd.DataFrame({**facts, **columns}))
    return pd.concat(tables, ignore_index=True)


def _predicted(fit: Fit, target: Sample) -> tuple[Array, Array]:
    """Give corrected values, at least 0, and the standard deviation of an observation about them."""
    residual, variance = predict_residual(fit, target)
    return np.maximum(target.modelled + residual, 0.0), np.sqrt(variance)


def rmse(table: pd.DataFrame, method: str) -> float:
    """Give the root mean squared error of a column of a table of `cross_validate`."""
    return float(np.sqrt(np.mean((table[method] - table["observed"]) ** 2)))


def chosen_elsewhere(table: pd.DataFrame, methods: Sequence[str]) -> tuple[pd.Series, pd.Series]:
    """Correct each station by the method that is best at all the others.

    Parameters
    ----------
    table : DataFrame
        Of one scheme of `cross_validate`.
    methods : sequence of str
        To choose from.

    Returns
    -------
    two Series
        Corrected values, and the methods.
    """
    squares = pd.DataFrame({name: (table[name] - table["observed"]) ** 2 for name in methods})
    own = squares.groupby(table["station"]).transform("sum")
    choice = (squares.sum() - own).idxmin(axis=1)
    column = pd.Index(methods).get_indexer(choice)
    values = table[list(methods)].to_numpy()[np.arange(len(table)), column]
    return pd.Series(values, index=table.index), choice


def interval_factors(table: pd.DataFrame, method: str, level: float) -> tuple[float, pd.Series]:
    r"""Give what standard deviations are multiplied by so that intervals hold `level` of the observations.

    The :math:`\lceil (n+1) \cdot level \rceil`-th smallest error in units of its standard deviation (split
    conformal prediction: Lei et al. 2018, doi:10.1080/01621459.2017.1307116).

    Returns
    -------
    float
        From all stations.
    Series
        For each row from all stations but its own, to judge the intervals by.
    """
    ratio = (table[method] - table["observed"]).abs() / table[f"sd_{method}"]

    def ranked(values: NDArray) -> float:
        return float(conformal_quantile(values, coverage=level))

    without = {
        station: ranked(ratio[(table["station"] != station).to_numpy()].to_numpy())
        for station in table["station"].unique()
    }
    return ranked(ratio.to_numpy()), table["station"].map(without)
