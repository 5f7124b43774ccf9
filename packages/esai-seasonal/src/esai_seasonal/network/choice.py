"""Which network a config asks for, and which one a run folder holds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from esai_core.errors import InputError
from esai_core.training.files import read_checkpoint
from esai_seasonal.config import SeasonalConfig
from esai_seasonal.data import Data
from esai_seasonal.network.chain import ChainNetwork
from esai_seasonal.network.correction import CorrectionNetwork

__all__ = ["load_network", "trainer"]


def trainer(
    config: SeasonalConfig, *, folder: Path | None = None, resume: bool = False, workers: int | None = None
) -> Callable[[Data, np.ndarray, str], Any]:
    """Give the function that trains the network of a config on some starts.

    Parameters
    ----------
    config : SeasonalConfig
        Its ``model.design`` and tables ``[model]``, ``[train]``.
    folder : Path, optional
        For checkpoints, one folder inside it for each training; a temporary one by default.
    resume : bool
        Go on from checkpoints.
    workers : int, optional
        Local processes that share each batch.

    Returns
    -------
    callable
        ``train(data, starts, part)``: positions of the starts, and the name of this training.
    """
    place = Path(tempfile.mkdtemp(prefix="esai-")) if folder is None else folder

    def train_direct(data: Data, starts: np.ndarray, part: str) -> CorrectionNetwork:
        return CorrectionNetwork.fit(
            data.on_fine(starts),
            data.truth.isel(start=starts),
            static=data.fine,
            kind=data.kind,
            config=config.train,
            networks=config.model.networks,
            width=config.model.width,
            folder=place / part,
            against=config.adversarial if config.model.adversarial else None,
            resume=resume,
            workers=workers,
        )

    def train_chain(data: Data, starts: np.ndarray, part: str) -> ChainNetwork:
        return ChainNetwork.fit(data, starts, config, folder=place / part, resume=resume, workers=workers)

    return train_chain if config.model.design == "chain" else train_direct


def load_network(folder: Path) -> Any:
    """Load the network of a run folder."""
    _, meta = read_checkpoint(folder / "network.npz")
    kinds: dict[str, Callable[[Path], Any]] = {
        "correction": CorrectionNetwork.load,
        "chain": ChainNetwork.load,
    }
    if meta.get("network") not in kinds or meta.get("format") != 1:
        raise InputError("a network of another version", where=str(folder), remedy="train again")
    return kinds[meta["network"]](folder)
