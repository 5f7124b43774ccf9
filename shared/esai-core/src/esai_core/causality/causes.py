"""What a run keeps of the causes that it looked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pandas as pd
from numpy.typing import ArrayLike

from esai_core.causality.discovery import pcmci
from esai_core.causality.links import Links
from esai_core.causality.surrogates import surrogate_rate

__all__ = ["Causes"]


@dataclass(frozen=True)
class Causes:
    """Links into one series, and how many are found where there are none.

    Attributes
    ----------
    target : str
    links : Links
    false : dict
        Of `surrogate_rate`.
    """

    target: str
    links: Links
    false: dict[str, float]

    @classmethod
    def find(
        cls,
        data: pd.DataFrame,
        *,
        target: str,
        blocks: ArrayLike,
        count: int = 20,
        seed: int = 0,
        **options: Any,
    ) -> Self:
        """Look for links into a series, and into it with its blocks in another order.

        Parameters
        ----------
        data, target, blocks, count, seed
            As for `surrogate_rate`.
        **options
            As for `pcmci`.
        """
        links = pcmci(data, targets=[target], **options)
        false = surrogate_rate(data, target=target, blocks=blocks, count=count, seed=seed, **options)
        return cls(target, links, false)

    def save(self, path: Path) -> None:
        """Write them to a JSON file."""
        content = {"target": self.target, "links": self.links.to_dict(), "false": self.false}
        path.write_text(json.dumps(content, indent=1), "utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        content = json.loads(path.read_text("utf-8"))
        return cls(content["target"], Links.from_dict(content["links"]), content["false"])
