"""How attention knows where tokens are: rotations, biases and relative keys, as data that every runtime understands.

Everything here depends on positions within a row alone, never on the batch that the row is in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")

Angles = npt.NDArray[np.float32]
Distances = npt.NDArray[np.int64]
"""Query position minus key position."""
Index = Callable[[Distances], npt.NDArray[np.integer[Any]]]
"""From distances, of any shape, to entries of a table."""


@dataclass(frozen=True, slots=True, eq=False)
class Rotation:
    """Rotary positions: ``frequencies`` (width / 2,) are angles per position step; cosines and sines are scaled by ``scale``.

    Where ``by_length`` is given, a row of that many tokens is rotated by what it returns instead (dynamic scaling). The last
    features of a head beyond ``2 * len(frequencies)`` stay as they are. Make one and use it in all layers: runtimes compute
    the angles once for each.
    """

    frequencies: Angles
    scale: float = 1.0
    by_length: Callable[[int], Angles] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Table(Generic[T]):
    """A bias by distance: ``entries`` is (buckets, heads), ``index`` says which bucket a distance falls in (T5, MPNet)."""

    entries: T
    index: Index


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """A bias of ``-slope * |distance|``, with a slope for each head: ALiBi (Press et al., 2021, arXiv:2108.12409)."""

    slopes: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Relative(Generic[T]):
    """Positions that score by themselves: ``query · keys[index(d)]`` and ``key · queries[index(d)]``, d the distance.

    Both are (buckets, heads, width) or None (Shaw et al., 2018, arXiv:1803.02155; DeBERTa, He et al., 2020, arXiv:2006.03654).
    """

    keys: T | None
    queries: T | None
    index: Index
