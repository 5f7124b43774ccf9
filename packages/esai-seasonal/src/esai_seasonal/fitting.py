"""Fit every method, choose one on the validation starts, and refit all on training and validation starts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError, UsageError
from esai_core.io import write_netcdf
from esai_core.runs import RunFolder
from esai_core.splits import Split
from esai_core.verify import get_score
from esai_seasonal.calibration import choose_gamma, errors_of, past_errors, truth_known
from esai_seasonal.config import SeasonalConfig
from esai_seasonal.data import Data, on_fine_grid
from esai_seasonal.methods.correction import Correction
from esai_seasonal.scoring import VALIDATION_SCORES, scores

__all__ = [
    "Fitted",
    "Past",
    "Selection",
    "add_history",
    "best_of",
    "choose",
    "fit",
    "fit_classical",
    "load_fitted",
    "predict_all",
    "save_fitted",
    "select",
]

log = logging.getLogger(__name__)

NETWORKS = ("network", "adversarial")
"""Methods that are networks: the supervised ones, and these after adversarial training."""

FitNetwork = Callable[[Data, np.ndarray, str], Any]


@dataclass(frozen=True)
class Selection:
    """Which method is delivered, and the scores on the validation starts that decided it.

    Attributes
    ----------
    delivered : str
        The method.
    score : str
        The score that was compared.
    validation : dict
        ``{method: {score: value}}`` on the validation starts, fitted on the training starts alone.
    network_wins : bool or None
        Whether the network was the best; None without a network.
    """

    delivered: str
    score: str
    validation: dict[str, dict[str, float | None]]
    network_wins: bool | None = None

    def as_dict(self, methods: Sequence[str]) -> dict[str, Any]:
        """Content of selection.json; `methods` are those that were refitted."""
        return {
            "delivered": self.delivered,
            "score": self.score,
            "network_wins": self.network_wins,
            "methods": list(methods),
            "validation": self.validation,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Selection:
        """Undo `as_dict`."""
        return cls(content["delivered"], content["score"], content["validation"], content["network_wins"])

    @property
    def best_baseline(self) -> str:
        """The best method that is no network."""
        return best_of({k: v for k, v in self.validation.items() if k not in NETWORKS}, self.score)


@dataclass(frozen=True)
class Past:
    """What the delivered method missed in years that its fits had not seen, for its intervals.

    Attributes
    ----------
    errors : Dataset
        Of `esai_seasonal.calibration.errors_of`, by start.
    gamma : float
        How fast the intervals adapt.
    table : dict
        Scores of the steps that were compared.
    units : str
        Of the lead.
    """

    errors: xr.Dataset
    gamma: float
    table: dict[str, dict[str, float]]
    units: str

    def save(self, path: Callable[[str], Path]) -> None:
        """Save it; `path` gives the place of a relative name."""
        write_netcdf(self.errors, path("models/past.nc"))
        content = {"gamma": self.gamma, "units": self.units, "compared": self.table}
        path("models/past.json").write_text(json.dumps(content, indent=1))

    @classmethod
    def load(cls, find: Callable[[str], Path]) -> Past:
        """Read what `save` wrote."""
        content = json.loads(find("models/past.json").read_text())
        with xr.open_dataset(find("models/past.nc"), engine="netcdf4", decode_timedelta=False) as ds:
            errors = ds.load()
        return cls(errors, content["gamma"], content["compared"], content["units"])


@dataclass(frozen=True)
class Fitted:
    """All methods, fitted on the same starts.

    Attributes
    ----------
    corrections : dict
        Classical methods by name.
    network : object, optional
        The network, with ``predict(hindcast, grid)`` on the coarse hindcast.
    selection : Selection, optional
        What was chosen.
    history : list of dict
        Rows of the network's trainings; ``refit`` is 0 for the one on the training starts, 1 for the last.
    past : Past, optional
        Errors of the past, for intervals.
    """

    corrections: dict[str, Correction]
    network: Any = None
    selection: Selection | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    past: Past | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods, the network last."""
        opposed = getattr(self.network, "opposed", None)
        return (*self.corrections, *NETWORKS[: (self.network is not None) + (opposed is not None)])

    def predict(self, method: str, hindcast: xr.DataArray, fine: xr.DataArray) -> xr.DataArray:
        """Correct a hindcast with one method.

        Parameters
        ----------
        method : str
            One of `methods`.
        hindcast, fine : DataArray
            The forecast on its own grid and interpolated to the fine one.
        """
        if method == "network":
            if self.network is None:
                raise UsageError("no network was trained", remedy="set model.network = true")
            return self.network.predict(hindcast, fine)
        if method == "adversarial" and method in self.methods:
            return self.network.opposed.predict(hindcast, fine)
        if method not in self.corrections:
            raise UsageError(
                f"the method {method!r} was not fitted", remedy=f"one of {', '.join(self.methods)}"
            )
        return self.corrections[method].predict(fine)


def fit_classical(data: Data, starts: np.ndarray, config: SeasonalConfig) -> dict[str, Correction]:
    """Fit the classical methods on some starts (positions)."""
    fine, truth = data.on_fine(starts), data.truth.isel(start=starts)
    truth = truth.chunk({"latitude": fine.chunksizes["latitude"]}) if fine.chunks else truth
    names = dict.fromkeys(("raw", *config.model.methods))
    return {name: _kept(Correction(name, data.kind).fit(fine, truth)) for name in names}


def _kept(correction: Correction) -> Correction:
    """Coefficients in memory: they are small, and lazy ones would be fitted again at every prediction."""
    parameters = correction.parameters
    return correction if parameters is None else replace(correction, parameters=parameters.compute())


def predict_all(fitted: Fitted, hindcast: xr.DataArray, data: Data) -> dict[str, xr.DataArray]:
    """Correct a coarse hindcast with every method; lazily where it is large."""
    fine = on_fine_grid(hindcast, data.grid)
    return {method: fitted.predict(method, hindcast, fine) for method in fitted.methods}


def select(predictions: dict[str, xr.DataArray], truth: xr.DataArray, score: str) -> Selection:
    """Choose the method with the best score on the validation starts."""
    table = scores(predictions, truth, names=VALIDATION_SCORES)["scores"]
    return choose(table, score)


def choose(table: dict[str, dict[str, float | None]], score: str) -> Selection:
    """Choose the method to deliver from a table of validation scores.

    The best one; but adversarial networks, which give accuracy for realistic fields, only have to beat every
    method that is no network: who asks for them wants these fields.
    """
    best = best_of(table, score)
    baseline = best_of({k: v for k, v in table.items() if k not in NETWORKS}, score)
    if "adversarial" in table and get_score(score).better(
        table["adversarial"][score], table[baseline][score]
    ):
        best = "adversarial"
    wins = (best in NETWORKS) if "network" in table else None
    if wins is False:
        log.info("no network beats %s on the validation part: it is delivered", best)
    return Selection(best, score, table, wins)


def best_of(table: dict[str, dict[str, float | None]], score: str) -> str:
    """Give the method with the best score of a table ``{method: {score: value}}``."""
    better = get_score(score).better
    best = None
    for name, row in table.items():
        if row[score] is not None and (best is None or better(row[score], table[best][score])):
            best = name
    if best is None:
        raise InputError(f"no method has a {score} on the validation starts", remedy="check the reference")
    return best


def fit(
    data: Data,
    parts: Split,
    config: SeasonalConfig,
    *,
    folder: Path | None = None,
    resume: bool = False,
    workers: int | None = None,
) -> Fitted:
    """Fit all methods on the training starts, choose on the validation starts, refit on both.

    Parameters
    ----------
    data : Data
        Checked inputs.
    parts : Split
        Positions of the starts.
    config : SeasonalConfig
        Its tables ``[model]`` and ``[train]``.
    folder : Path, optional
        For the checkpoints of the training; a temporary one by default.
    resume : bool
        Go on from checkpoints in `folder`.
    workers : int, optional
        Local processes that share each batch of a network's training.

    Returns
    -------
    Fitted
        Fitted on training and validation starts, with what the selection was based on.
    """
    train_network: FitNetwork | None = None
    if config.model.network:
        from esai_seasonal.network import trainer

        train_network = trainer(config, folder=folder, resume=resume, workers=workers)
    validation, truth = data.hindcast.isel(start=parts.validate), data.truth.isel(start=parts.validate)
    trial = _fit_on(data, parts.train, config, train_network, "train")
    predictions = predict_all(trial, validation, data)
    selection = select(predictions, truth, config.model.select_by)
    final = _fit_on(data, parts.development, config, train_network, "refit")
    latest = errors_of(predictions[selection.delivered], truth)
    options: dict[str, Any] = {"folder": folder, "resume": resume, "workers": workers}
    past = _past(data, parts, config, selection.delivered, latest, **options)
    return replace(final, selection=selection, history=trial.history + final.history, past=past)


def _past(
    data: Data, parts: Split, config: SeasonalConfig, delivered: str, latest: xr.Dataset, **options: Any
) -> Past:
    """Forecast training years from the years before them with the delivered method, one network each."""
    train_network: FitNetwork | None = None
    if delivered in NETWORKS:
        from esai_seasonal.network import trainer

        single = config.model_copy(update={"model": config.model.model_copy(update={"networks": 1})})
        train_network = trainer(single, **options)
    starts = data.hindcast.indexes["start"][parts.train]
    units = str(data.hindcast["lead"].attrs.get("units", "months"))
    longest = float(data.hindcast["lead"].max())

    def forecast(known: np.ndarray, block: np.ndarray, name: str) -> xr.Dataset:
        on, to = parts.train[known], parts.train[block]
        hindcast = data.hindcast.isel(start=to)
        if train_network is not None:
            made = Fitted({}, train_network(data, on, name))
        else:
            fine, truth = data.on_fine(on), data.truth.isel(start=on)
            made = Fitted({delivered: _kept(Correction(delivered, data.kind).fit(fine, truth))})
        ensemble = made.predict(delivered, hindcast, on_fine_grid(hindcast, data.grid))
        return errors_of(ensemble, data.truth.isel(start=to))

    found = past_errors(starts, ends=truth_known(starts, longest, units), forecast=forecast)
    errors = xr.concat([*found, latest], "start", join="override").sortby("start")
    gamma, table = choose_gamma(errors, units=units)
    return Past(errors, gamma, table, units)


def _fit_on(
    data: Data, starts: np.ndarray, config: SeasonalConfig, train_network: FitNetwork | None, part: str
) -> Fitted:
    network = None if train_network is None else train_network(data, starts, part)
    history = [] if network is None else [{"refit": int(part == "refit"), **row} for row in network.history]
    return Fitted(fit_classical(data, starts, config), network, history=history)


def add_history(run: RunFolder, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write history.csv; columns that only some trainings have are empty elsewhere."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for row in rows:
        run.add_history({name: row.get(name) for name in columns})


def save_fitted(fitted: Fitted, path: Callable[[str], Path]) -> None:
    """Save all methods; `path` gives the place of a relative name."""
    for name, correction in fitted.corrections.items():
        correction.save(path(f"models/{name}.npz"))
    if fitted.network is not None:
        fitted.network.save(path("models/network/network.npz").parent)
    if fitted.past is not None:
        fitted.past.save(path)
    if fitted.selection is not None:
        content = fitted.selection.as_dict(fitted.methods)
        path("selection.json").write_text(json.dumps(content, indent=1))


def load_fitted(find: Callable[[str], Path]) -> Fitted:
    """Load what `save_fitted` wrote."""
    content = json.loads(find("selection.json").read_text())
    names = [name for name in content["methods"] if name not in NETWORKS]
    network = None
    if "network" in content["methods"]:
        from esai_seasonal.network import load_network

        network = load_network(find("models/network"))
    selection = Selection.from_dict(content)
    corrections = {name: Correction.load(find(f"models/{name}.npz")) for name in names}
    return Fitted(corrections, network, selection, past=Past.load(find))
