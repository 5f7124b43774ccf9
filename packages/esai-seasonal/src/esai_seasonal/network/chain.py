"""The chain: bias correction on the coarse grid, then super-resolution learnt from the reference alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from esai_core.errors import InputError
from esai_core.grid import Grid, coarsen_nodes, is_node_aligned
from esai_core.training.files import write_checkpoint
from esai_seasonal.config import SUPERRESOLUTION_TRAINING, SeasonalConfig
from esai_seasonal.data import Data
from esai_seasonal.network.correction import CorrectionNetwork
from esai_seasonal.network.superresolution import SuperResolution

__all__ = ["ChainNetwork", "reference_fields"]

CASES = ("start", "lead", "number")


@dataclass(frozen=True)
class ChainNetwork:
    """A correction network on the coarse nodes and a super-resolution network after it.

    Attributes
    ----------
    coarse : CorrectionNetwork
        Corrects the hindcast where it is.
    fine : SuperResolution
        Refines any coarse field; it never saw a hindcast.
    history : list of dict
        Losses of the trainings, one after the other.
    """

    coarse: CorrectionNetwork
    fine: SuperResolution
    history: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def fit(
        cls,
        data: Data,
        starts: np.ndarray,
        config: SeasonalConfig,
        *,
        folder: Path,
        resume: bool = False,
        workers: int | None = None,
    ) -> ChainNetwork:
        """Train both on some starts (positions).

        Raises
        ------
        InputError
            The grids do not share nodes.
        """
        factor = is_node_aligned(Grid.from_dataset(data.hindcast), data.grid)
        if factor is None:
            raise InputError(
                "the hindcast's points are not every n-th point of the reference's grid",
                remedy='cut both to one domain, or use model.design = "direct"',
            )
        truth = data.truth.isel(start=starts)
        hindcast = data.hindcast.isel(start=starts)
        at_nodes = coarsen_nodes(truth, factor).assign_coords(
            latitude=hindcast["latitude"], longitude=hindcast["longitude"]
        )
        options: dict[str, Any] = {"networks": config.model.networks, "width": config.model.width}
        options |= {"resume": resume, "workers": workers}
        coarse = CorrectionNetwork.fit(
            hindcast,
            at_nodes,
            static=data.coarse,
            kind=data.kind,
            config=config.train,
            folder=folder / "coarse",
            **options,
        )
        fields = reference_fields(truth)
        refined = config.train.model_copy(update=SUPERRESOLUTION_TRAINING)
        fine = SuperResolution.fit(fields, factor=factor, static=data.fine)
        fine = fine.train(fields, config=refined, folder=folder / "fine", **options)
        count = len(coarse.models)
        later = [{**row, "network": count + row["network"]} for row in fine.history]
        return cls(coarse, fine, coarse.history + later)

    def predict(self, hindcast: xr.DataArray, fine: xr.DataArray) -> xr.DataArray:
        """Correct a forecast on its own grid and refine every member.

        Parameters
        ----------
        hindcast : DataArray
            ``(start, lead, number, latitude, longitude)`` on the coarse grid.
        fine : DataArray
            The same, interpolated: gives the coordinates.
        """
        corrected = self.coarse.predict(hindcast, hindcast)
        shape = tuple(corrected.sizes[d] for d in CASES)
        samples = corrected.values.reshape(-1, *corrected.shape[-2:])
        nodes = xr.DataArray(
            samples,
            dims=("sample", "latitude", "longitude"),
            coords={"latitude": corrected["latitude"], "longitude": corrected["longitude"]},
        )
        times = np.broadcast_to(hindcast["valid_time"].values[..., None], shape).ravel()
        out = self.fine.predict(nodes, times, method="network").values
        if self.coarse.kind == "multiplicative":
            out = np.maximum(out, 0.0)
        missing = np.isnan(samples).all((1, 2))
        out[missing] = np.nan
        coords = {d: fine[d] for d in fine.dims} | {"valid_time": hindcast["valid_time"]}
        return xr.DataArray(
            out.reshape(*shape, *out.shape[-2:]), dims=fine.dims, coords=coords, attrs=dict(fine.attrs)
        )

    def save(self, folder: Path) -> None:
        """Write both networks below a folder."""
        self.coarse.save(folder / "coarse")
        self.fine.save(folder / "fine")
        write_checkpoint(folder / "network.npz", {}, {"network": "chain", "format": 1})

    @classmethod
    def load(cls, folder: Path) -> ChainNetwork:
        """Read what `save` wrote."""
        return cls(CorrectionNetwork.load(folder / "coarse"), SuperResolution.load(folder / "fine"))


def reference_fields(truth: xr.DataArray) -> xr.DataArray:
    """Each field of a matched reference once, ``(time, latitude, longitude)``: starts and leads share many.

    Parameters
    ----------
    truth : DataArray
        ``(start, lead, latitude, longitude)`` with ``valid_time``.
    """
    flat = truth.stack(case=("start", "lead")).transpose("case", "latitude", "longitude")
    times, first = np.unique(flat["valid_time"].values, return_index=True)
    chosen = flat.isel(case=first).drop_vars(("case", "start", "lead", "valid_time")).rename(case="time")
    chosen = chosen.assign_coords(time=times)
    return chosen.isel(time=chosen.notnull().any(("latitude", "longitude")).values)
