"""What a run keeps of its explanations, for the report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from esai_core.explain.attribution import Attribution
from esai_core.explain.sanity import RandomisationCheck

__all__ = ["Drivers"]


@dataclass(frozen=True)
class Drivers:
    """Attributions of one model, the first the one to draw in full, and their check.

    Attributes
    ----------
    attributions : tuple of Attribution
    check : RandomisationCheck, optional
    text : str
        Markdown: of which model, on which cases.
    """

    attributions: tuple[Attribution, ...]
    check: RandomisationCheck | None = None
    text: str = ""

    def save(self, path: Path) -> None:
        """Write them to a JSON file."""
        content = {
            "attributions": [one.to_dict() for one in self.attributions],
            "check": None if self.check is None else self.check.to_dict(),
            "text": self.text,
        }
        path.write_text(json.dumps(content, indent=1), "utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        content = json.loads(path.read_text("utf-8"))
        check = content["check"]
        return cls(
            tuple(Attribution.from_dict(one) for one in content["attributions"]),
            None if check is None else RandomisationCheck.from_dict(check),
            content["text"],
        )
