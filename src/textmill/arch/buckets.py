"""From distances to entries of a table: the rules by which families share one entry among many distances.

Each compares by value, so that runtimes compute an index once for all layers that use the same rule. Distances are query
position minus key position; those that no row has, between padding, get some entry as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from textmill.arch.positions import Distances


@dataclass(frozen=True, slots=True)
class EachDistance:
    """An entry for each distance from ``1 - positions`` to ``positions - 1``."""

    positions: int

    def __call__(self, away: Distances) -> Distances:
        """Entries of a table of ``2 * positions - 1``."""
        return np.clip(away + self.positions - 1, 0, 2 * self.positions - 2)


@dataclass(frozen=True, slots=True)
class HalfLogarithmic:
    """T5's buckets (Raffel et al., 2019, arXiv:1910.10683), as MPNet has them too.

    Half of them are for keys before the query, half for those after it. Of each half the first half are single distances, the
    others grow with the logarithm up to ``max_distance``; what is further away shares the last one.
    """

    buckets: int
    max_distance: int

    def __call__(self, away: Distances) -> Distances:
        """Entries of a table of ``buckets``."""
        half = self.buckets // 2
        exact = half // 2
        far = np.abs(away)
        # The reference takes the logarithm at float32, which decides at the borders.
        growth = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact))
        steps = growth / np.float32(math.log(self.max_distance / exact)) * np.float32(half - exact)
        large = np.minimum(exact + steps.astype(np.int64), half - 1)
        return np.where(away < 0, half, 0) + np.where(far < exact, far, large)


@dataclass(frozen=True, slots=True)
class MiddleOut:
    """DeBERTa's entries (He et al., 2020, arXiv:2006.03654): distance 0 in the middle of ``2 * span``.

    With ``max_distance`` given (DeBERTa-v2), distances beyond half the span grow with the logarithm, so that ``max_distance``
    reaches the end; without, each distance has an entry. What is further away shares the last one.
    """

    span: int
    max_distance: int | None = None

    def __call__(self, away: Distances) -> Distances:
        """Entries of a table of ``2 * span``."""
        if self.max_distance is not None:
            away = self._logarithmic(away, self.max_distance)
        return np.clip(away + self.span, 0, 2 * self.span - 1)

    def _logarithmic(self, away: Distances, max_distance: int) -> Distances:
        middle = self.span // 2
        far = np.abs(away)
        growth = np.log(np.maximum(far, middle).astype(np.float32) / np.float32(middle))
        whole = np.log(np.float32((max_distance - 1) / middle))  # at float32 as well: the ceiling is sensitive
        steps = np.ceil(growth / whole * np.float32(middle - 1)).astype(np.int64)
        return np.where(far <= middle, away, np.sign(away) * (steps + middle))
