"""Keep the state of an operational run in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from esai_airquality.archive import read_archive, write_archive
from esai_airquality.mos.alerts import AlertRule
from esai_airquality.mos.boosting import Trees
from esai_airquality.mos.panel import Panel
from esai_airquality.mos.state import State
from esai_core.errors import reading

__all__ = ["load_state", "save_state"]

_ARRAYS = ("kalman", "histograms", "maps", "weights")


def save_state(state: State, path: str | Path) -> Path:
    """Write a state to one file, whole or not at all.

    Parameters
    ----------
    state : State
        What `advance` gave.
    path : path
        ``.npz``; an earlier one is replaced at once.

    Returns
    -------
    Path
    """
    panel = state.panel
    arrays: dict[str, NDArray] = {"days": panel.days.astype(np.int64), "observed": panel.observed}
    leads = list(panel.forecasts)
    for lead in leads if panel.separate else leads[:1]:
        arrays[f"forecast/{lead}"] = panel.forecasts[lead]
        for name, by_lead in panel.meteorology.items():
            arrays[f"meteorology/{name}/{lead}"] = by_lead[lead]
    for name, issued in state.predictions.items():
        for lead, values in issued.items():
            arrays[f"prediction/{name}/{lead}"] = values
    for part in _ARRAYS:
        for lead, values in getattr(state, part).items():
            arrays[f"{part}/{lead}"] = values
    for key, trees in state.trees.items():
        for number, saved in enumerate(trees.saved):
            arrays[f"trees/{key}/{number}"] = np.frombuffer(saved, np.uint8)
    arrays["static"] = panel.static.to_numpy(np.float64)
    facts = {
        "issued": state.issued,
        "stations": panel.stations,
        "separate": panel.separate,
        "leads": leads,
        "meteorology": list(panel.meteorology),
        "units": panel.units,
        "dropped": panel.dropped,
        "static": [str(name) for name in panel.static],
        "rules": {lead: vars(rule) for lead, rule in state.rules.items()},
        "history": state.history,
        "trees": {key: [trees.kind, trees.threads] for key, trees in state.trees.items()},
    }
    return write_archive(path, arrays, facts)


def load_state(path: str | Path) -> State:
    """Read what `save_state` wrote.

    Raises
    ------
    InputError
        If the file is damaged or no state.
    """
    arrays, facts = read_archive(path, wrong="this is no state of a run")
    with reading(path, "a state of esai-airquality"):
        return _assembled(arrays, facts)


def _assembled(arrays: dict[str, NDArray], facts: dict[str, Any]) -> State:
    """Put a state together from its arrays and what is known about them."""
    leads = facts["leads"]
    first = leads[0]

    def of_leads(prefix: str) -> dict[int, NDArray]:
        return {lead: arrays[f"{prefix}/{lead if facts['separate'] else first}"] for lead in leads}

    panel = Panel(
        days=arrays["days"].astype("datetime64[D]"),
        stations=tuple(facts["stations"]),
        observed=arrays["observed"],
        forecasts=of_leads("forecast"),
        separate=facts["separate"],
        meteorology={name: of_leads(f"meteorology/{name}") for name in facts["meteorology"]},
        static=pd.DataFrame(arrays["static"], index=facts["stations"], columns=facts["static"]),
        units=facts["units"],
        dropped=tuple(facts["dropped"]),
    )
    state = State(panel, issued=facts["issued"], history=facts["history"])
    for name, values in arrays.items():
        part, _, rest = name.partition("/")
        if part == "prediction":
            method, _, lead = rest.partition("/")
            state.predictions.setdefault(method, {})[int(lead)] = values
        elif part in _ARRAYS:
            getattr(state, part)[int(rest)] = values
    for key, (kind, threads) in facts["trees"].items():
        count = sum(name.startswith(f"trees/{key}/") for name in arrays)
        saved = tuple(arrays[f"trees/{key}/{number}"].tobytes() for number in range(count))
        state.trees[key] = Trees(kind, saved, threads)
    state.rules = {int(lead): AlertRule(**rule) for lead, rule in facts["rules"].items()}
    return state
