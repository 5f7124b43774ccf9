"""The links that were found, and how they compare with a known graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from esai_core.errors import unknown

__all__ = ["Links"]

Link = tuple[str, int, str]


@dataclass(frozen=True, eq=False)
class Links:
    """Strength and error probability of every possible link.

    Attributes
    ----------
    names : tuple of str
        Series.
    statistic : array (source, target, lag)
        Of the momentary conditional-independence test; lag 1 first.
    p, q : array (source, target, lag)
        p-values, and these adjusted for the number of links (Benjamini & Hochberg, 1995): among links with
        ``q <= 0.05`` about one in twenty is false.
    """

    names: tuple[str, ...]
    statistic: NDArray[np.float64]
    p: NDArray[np.float64]
    q: NDArray[np.float64]

    @property
    def longest(self) -> int:
        """Largest lag that was looked at."""
        return self.p.shape[2]

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON can hold it."""
        arrays = {name: getattr(self, name).tolist() for name in ("statistic", "p", "q")}
        return {"names": list(self.names), **arrays}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Make it again from `to_dict`."""
        return cls(tuple(data["names"]), *(np.asarray(data[name], float) for name in ("statistic", "p", "q")))

    def found(self, *, q: float = 0.05, target: str | None = None) -> list[Link]:
        """Name the links within a false discovery rate, the surest first: ``(source, lag, target)``.

        Parameters
        ----------
        q : float
            Rate.
        target : str, optional
            Links into this series alone.
        """
        if target is not None and target not in self.names:
            raise unknown("series", target, self.names)
        order = np.lexsort((-np.abs(self.statistic).ravel(), self.p.ravel()))
        places = (np.unravel_index(at, self.p.shape) for at in order if self.q.ravel()[at] <= q)
        links = [(self.names[i], int(lag) + 1, self.names[j]) for i, j, lag in places]
        return [link for link in links if target in (None, link[2])]

    def rows(self, *, q: float = 0.05, target: str | None = None) -> list[dict[str, Any]]:
        """Give the links found as rows of a report's table."""
        place = {name: i for i, name in enumerate(self.names)}
        rows = []
        for source, lag, into in self.found(q=q, target=target):
            at = (place[source], place[into], lag - 1)
            row = {"driver": source, "lag": lag, "target": into, "strength": float(self.statistic[at])}
            rows.append(row | {"p": float(self.p[at]), "false discovery rate": float(self.q[at])})
        return rows

    def compare(
        self, truth: Iterable[Link], *, q: float | None = None, p: float | None = None
    ) -> dict[str, float]:
        """Score the links against a known graph, links of a series with itself left out.

        Parameters
        ----------
        truth : iterable of (source, lag, target)
            The links that exist.
        q, p : float
            Limit of the adjusted or of the plain p-values.

        Returns
        -------
        dict
            ``precision``, ``recall``, ``f1``, ``false_positive_rate`` (share of absent links that were
            found).
        """
        real = {link for link in truth if link[0] != link[2]}
        values, limit = (self.q, q) if q is not None else (self.p, 0.05 if p is None else p)
        sizes = range(len(self.names)), range(len(self.names)), range(self.longest)
        every = {
            (self.names[i], lag + 1, self.names[j]): values[i, j, lag] <= limit
            for i in sizes[0]
            for j in sizes[1]
            for lag in sizes[2]
            if i != j
        }
        found = {link for link, there in every.items() if there}
        hits, absent = len(found & real), len(every) - len(real)
        return {
            "precision": hits / len(found) if found else float("nan"),
            "recall": hits / len(real) if real else float("nan"),
            "f1": 2 * hits / (len(found) + len(real)) if found or real else float("nan"),
            "false_positive_rate": len(found - real) / absent if absent else float("nan"),
        }
